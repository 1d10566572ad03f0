// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/runtime"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the command and of what it runs on",
		Args:  cobra.NoArgs,
		RunE: a.verb(func(context.Context, *cobra.Command, []string) error {
			fmt.Fprintf(a.out, "trimtab %s, %s, %s/%s\n", built(), goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
			library, err := runtime.FindLibrary()
			if err != nil {
				fmt.Fprintf(a.out, "ONNX Runtime: not found: %s\n", oneLine(err))
				return nil
			}
			fmt.Fprintf(a.out, "ONNX Runtime: %s\n", library)
			version, providers, err := runtime.Providers(library)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "  %s, built with %s\n", version, strings.Join(providers, ", "))
			return nil
		}),
	}
}

// built is the module's version, or the commit where it was built from a checkout.
func built() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "devel"
}
