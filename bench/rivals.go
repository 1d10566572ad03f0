// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
)

//go:embed peers/*.py
var scripts embed.FS

// PythonVariable names the Python that has the peers' packages; without it, python3 is tried.
const PythonVariable = "TRIMTAB_PYTHON"

// The runtimes that this project is compared with.
const (
	llamaCPP     = "llama.cpp"
	genAI        = "onnxruntime-genai"
	transformers = "transformers"
)

// rival is a way to run a model in another runtime.
type rival struct {
	family  string // one of the runtimes above
	file    string
	name    string // with its settings
	hooked  string // what it has of hooks, in words; "" where it has none
	batches bool   // several sequences can run at the same time
	start   func(ctx context.Context, r *rival, n peerNeeds) (peer, error)
}

// library is how a runtime is found in Python.
type library struct {
	family, script string
	modules        []string // the first one has the version
	install        string
	hooked         string
	batches        bool
}

func libraries() []library {
	return []library{
		{llamaCPP, "llamacpp.py", []string{"llama_cpp"}, "llama-cpp-python", "a control vector at all layers", true},
		{genAI, "genai.py", []string{"onnxruntime_genai", "numpy"}, "onnxruntime-genai", "", false},
		{transformers, "transformers.py", []string{"transformers", "torch"}, "transformers torch", "forward hooks at all layers", false},
	}
}

// find looks for other runtimes and for models that each can run; what there is not, the report says.
func (s *suite) find() error {
	if !s.c.Peers {
		return nil
	}
	for _, l := range libraries() {
		files := l.files(s.path, s.c.PeerModels)
		if len(files) == 0 {
			s.note("%s: no model that it can run (--peer-model names one)", l.family)
			continue
		}
		version, err := l.version(s.ctx)
		if err != nil && l.family == llamaCPP {
			if path, other := exec.LookPath("llama-bench"); other == nil {
				s.report.Machine.Peers = append(s.report.Machine.Peers, "llama-bench")
				s.rivals = append(s.rivals, s.commands(path, files)...)
				continue
			}
		}
		if err != nil {
			s.note("%v", err)
			continue
		}
		s.report.Machine.Peers = append(s.report.Machine.Peers, l.family+" ("+version+")")
		for _, f := range files {
			s.rivals = append(s.rivals, s.scripts(l, f)...)
		}
	}
	return s.ctx.Err()
}

// files are those of a model's and of further ones that a runtime can open.
func (l *library) files(model string, further []string) (out []string) {
	for i, f := range append([]string{model}, further...) {
		gguf := strings.EqualFold(filepath.Ext(f), ".gguf")
		export := exists(filepath.Join(f, "genai_config.json"))
		folder := exists(filepath.Join(f, "config.json")) && !export
		switch l.family {
		case llamaCPP:
			if gguf {
				out = append(out, f)
			}
		case genAI:
			if export {
				out = append(out, f)
			}
		case transformers:
			if folder || gguf && i == 0 {
				out = append(out, f)
			}
		}
	}
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func interpreter() string { return cmp.Or(os.Getenv(PythonVariable), "python3") }

// version imports a library and asks it.
func (l *library) version(ctx context.Context) (string, error) {
	ask := fmt.Sprintf("import %s; print(%s.__version__)", strings.Join(l.modules, ", "), l.modules[0])
	out, err := exec.CommandContext(ctx, interpreter(), "-c", ask).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %s cannot import %s: it takes no part (pip install %s, or set %s)", l.family, interpreter(), strings.Join(l.modules, " and "), l.install, PythonVariable)
	}
	return strings.TrimSpace(string(out)), nil
}

// scripts are the ways in which a library runs a file: llama.cpp without and with flash attention.
func (s *suite) scripts(l library, file string) []rival {
	one := func(name string, flash bool) rival {
		if file != s.path {
			name += ", " + filepath.Base(file)
		}
		return rival{l.family, file, name, l.hooked, l.batches, func(ctx context.Context, r *rival, n peerNeeds) (peer, error) {
			p, err := launch(ctx, r, l.script)
			if err != nil {
				return nil, err
			}
			return p, p.load(file, s.threads(), flash, n)
		}}
	}
	if l.family != llamaCPP {
		return []rival{one(l.family, false)}
	}
	return []rival{one(l.family, false), one(l.family+" (flash attention)", true)}
}

// launch starts a script.
func launch(ctx context.Context, r *rival, name string) (*script, error) {
	var text []byte
	for _, part := range []string{"common.py", name} {
		more, err := scripts.ReadFile("peers/" + part)
		if err != nil {
			return nil, err
		}
		text = append(text, more...)
	}
	p, err := startScript(r, exec.CommandContext(ctx, interpreter(), "-c", string(text)))
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", r.name, err)
	}
	return p, nil
}

// load has a script load a model; where it cannot, the process is ended.
func (p *script) load(file string, threads int, flash bool, n peerNeeds) error {
	var answer struct{ Version string }
	err := p.ask(map[string]any{
		"load": file, "threads": threads, "flash": flash, "context": n.Context, "sequences": max(n.Sequences, 1), "vector": n.Vector,
	}, &answer)
	p.version = answer.Version
	return err
}

// threads are those of every contestant.
func (s *suite) threads() int {
	return cmp.Or(s.c.Model.Threads, min(goruntime.NumCPU(), 8))
}

// start starts every rival. One that does not start is noted and takes no part; end closes the others, and keeps an error that a function returns.
func (s *suite) start(n peerNeeds) (out []peer, end func(*error)) {
	for i := range s.rivals {
		p, _ := s.startOne(&s.rivals[i], n)
		if p != nil {
			out = append(out, p)
		}
	}
	return out, func(err *error) {
		for _, p := range out {
			*err = errors.Join(*err, p.Close())
		}
	}
}

// startOne starts one rival, or notes why it cannot and returns nil.
func (s *suite) startOne(r *rival, n peerNeeds) (p peer, end func(*error)) {
	s.c.Progress("starting " + r.name)
	p, err := r.start(s.ctx, r, n)
	if err != nil {
		s.note("%s takes no part: %s", r.name, oneLine(err))
		return nil, func(*error) {}
	}
	return p, func(err *error) { *err = errors.Join(*err, p.Close()) }
}
