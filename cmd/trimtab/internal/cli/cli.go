// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: one file a verb, and what verbs share in the files model.go, prompt.go and cli.go.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit statuses.
const (
	statusFailed      = 1
	statusUsage       = 2
	statusInterrupted = 130
)

// app is one run of the command with its streams.
type app struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	started bool // a verb has begun: what fails from here on is no usage error
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// Run carries out one command line and returns the exit status.
func Run(args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, out: out, err: errs}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	return a.status(root.ExecuteContext(context.Background()))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "trimtab",
		Short: "Run language models in process and steer them from within",
		Long: "trimtab runs language models in process on ONNX Runtime, and reads and changes what happens inside while they generate.\n\n" +
			"MODEL is a GGUF file, a folder with config.json and safetensors, or the name of either on the Hugging Face Hub:\n" +
			"org/name, org/name@revision, org/name:Q4_K_M. What is not in the cache is downloaded.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(a.chat(), a.generate(), a.trace(), a.encode(), a.convert(), a.reason(), a.replay(), a.fit(), a.eval(), a.compare(), a.calibrate(), a.compareSteer(), a.itda(), a.tokenize(), a.template(), a.inspect(), a.bench(), a.benchProbe(), a.version())
	return root
}

// status reports an error in one line and says how the process is to end.
func (a *app) status(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.err, "trimtab: interrupted")
		return statusInterrupted
	}
	fmt.Fprintln(a.err, "trimtab: "+oneLine(err))
	var usage usageError
	if !a.started || errors.As(err, &usage) {
		return statusUsage
	}
	return statusFailed
}

func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// verb makes a function the body of a command.
func (a *app) verb(run func(ctx context.Context, c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		a.started = true
		return run(c.Context(), c, args)
	}
}

// untilInterrupted returns a context that ends at the first Ctrl-C; a second one ends the process.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// terminal tells whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
