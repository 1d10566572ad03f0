// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
)

// completer offers commands and their arguments to the line editor.
type completer struct{ c *Chat }

// Do implements readline.AutoCompleter: the ends of the candidates, and how much of them stands there already.
func (k completer) Do(line []rune, pos int) ([][]rune, int) {
	stem, candidates := k.candidates(string(line[:pos]))
	var out [][]rune
	for _, word := range candidates {
		if rest, ok := strings.CutPrefix(word, stem); ok {
			out = append(out, []rune(rest))
		}
	}
	return out, len([]rune(stem))
}

// candidates returns the word that is being typed, and what it may become.
func (k completer) candidates(text string) (stem string, words []string) {
	if !strings.HasPrefix(text, "/") {
		return "", nil
	}
	name, arg, typed := strings.Cut(text, " ")
	for _, cmd := range commands() {
		if !typed {
			words = append(words, "/"+cmd.name+" ")
		} else if "/"+cmd.name == name && cmd.words != nil {
			return cmd.words(k.c, strings.TrimLeft(arg, " "))
		}
	}
	return name, words
}

func steeringWords(c *Chat, arg string) (string, []string) {
	var out []string
	for _, a := range c.rig.steerings {
		out = append(out, a.name+" ")
	}
	return arg, out
}

func settingWords(c *Chat, arg string) (string, []string) {
	var out []string
	c.flags.VisitAll(func(f *pflag.Flag) { out = append(out, f.Name+" ") })
	return arg, out
}

func showWords(_ *Chat, arg string) (string, []string) {
	return arg, []string{"info", "parameters", "system", "messages"}
}

func expertWords(_ *Chat, arg string) (string, []string) {
	return arg, []string{"off ", "on ", "mark", "fit"}
}

// specWords completes the kind of a spec, then its file, then the point of a site.
func specWords(c *Chat, arg string) (string, []string) {
	kind, file, typed := strings.Cut(arg, ":")
	if !typed {
		var kinds []string
		for _, k := range steering.Kinds() {
			kinds = append(kinds, string(k)+":")
		}
		return kind, kinds
	}
	if at := strings.LastIndexByte(file, '@'); at > strings.LastIndexByte(file, filepath.Separator) {
		return points(file[at+1:])
	}
	if kind == string(steering.KindRotate) || kind == string(steering.KindRotatePositive) {
		file = file[strings.LastIndexByte(file, ',')+1:]
	}
	return fileWords(c, file)
}

func points(list string) (string, []string) {
	var out []string
	for _, p := range hooks.Points() {
		name := string(p)
		if p.PerLayer() {
			name += "."
		}
		out = append(out, name)
	}
	return list[strings.LastIndexByte(list, ',')+1:], out
}

// fileWords completes the path of a file.
func fileWords(_ *Chat, path string) (string, []string) {
	dir, base := filepath.Split(path)
	folder := dir
	if folder == "" {
		folder = "."
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return path, nil
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		if e.IsDir() {
			name += string(filepath.Separator)
		}
		out = append(out, dir+name)
	}
	return path, out
}
