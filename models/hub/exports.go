// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"path"
	"slices"
	"strings"
)

const genaiName = "genai_config.json"

// exports are the ONNX exports among files: each folder with a genai_config.json, and outside of these each graph that may be a whole decoder. The file or folder
// to open names them.
func exports(files []string) (out []choice) {
	sorted := slices.Sorted(slices.Values(files))
	genai := map[string]bool{}
	for _, f := range sorted {
		if path.Base(f) == genaiName {
			genai[path.Dir(f)] = true
		}
	}
	for dir := range genai {
		if c := genaiExport(dir, sorted); c.files != nil {
			out = append(out, c)
		}
	}
	for _, f := range sorted {
		if path.Ext(f) == ".onnx" && !genai[path.Dir(f)] && !aPart(path.Base(f)) {
			out = append(out, graphExport(f, sorted))
		}
	}
	slices.SortFunc(out, func(a, b choice) int { return strings.Compare(a.open, b.open) })
	return out
}

// aPart tells whether a graph is one of several that only together are a model, or the half of a decoder that needs the other.
func aPart(base string) bool {
	return slices.ContainsFunc([]string{"encoder", "vision", "embed", "audio", "speech", "decoder_with_past"}, func(p string) bool { return strings.HasPrefix(base, p) })
}

// genaiExport is a folder as onnxruntime-genai's builder leaves it. Graphs come last: who has them has all.
func genaiExport(dir string, files []string) choice {
	c := choice{open: strings.TrimPrefix(dir, ".")}
	var graphs []string
	for _, f := range files {
		if path.Dir(f) != dir {
			continue
		}
		switch base := path.Base(f); {
		case path.Ext(f) == ".onnx":
			graphs = append(graphs, f)
		case path.Ext(f) == ".json", path.Ext(f) == ".jinja", base == "tokenizer.model", external(base):
			c.files = append(c.files, f)
		}
	}
	if graphs == nil {
		return choice{}
	}
	c.files = append(c.files, graphs...)
	return c
}

// external tells whether a file has the name of a graph's weights.
func external(base string) bool {
	return path.Ext(base) == ".data" || strings.Contains(base, ".onnx_data") || strings.Contains(base, ".onnx.data")
}

// graphExport is one graph, its weights, and the settings that lie at the top of the repository or beside it.
func graphExport(graph string, files []string) choice {
	c := choice{open: graph, files: settingsFiles(files)}
	dir, base := path.Split(graph)
	stem := strings.TrimSuffix(base, ".onnx")
	for _, f := range files {
		folder, name := path.Split(f)
		if folder != dir {
			continue
		}
		weights := strings.HasPrefix(name, base) && name != base || external(name) && strings.HasPrefix(name, stem+".")
		if weights || dir != "" && len(settingsFiles([]string{name})) > 0 {
			c.files = append(c.files, f)
		}
	}
	c.files = append(c.files, graph)
	return c
}

// chooseExport finds the export that a name means: the one named by path, file name or tag; without a name the usual one, as export.Find has it.
func (r ref) chooseExport(all []choice) []choice {
	named := func(same func(open string) bool) (out []choice) {
		for _, c := range all {
			if same(c.open) {
				out = append(out, c)
			}
		}
		return out
	}
	if r.want != "" {
		for _, same := range []func(open string) bool{
			func(open string) bool { return open == strings.TrimSuffix(r.want, "/") },
			func(open string) bool { return path.Base(open) == r.want },
			func(open string) bool { return path.Base(open) == r.want+".onnx" },
			func(open string) bool { return tagged(open, r.want) },
		} {
			if found := named(same); len(found) > 0 {
				return found
			}
		}
		return nil
	}
	for _, usual := range []string{
		"", "model.onnx", "onnx/model.onnx", "decoder_model_merged.onnx", "onnx/decoder_model_merged.onnx", "decoder_model.onnx", "onnx/decoder_model.onnx",
	} {
		if found := named(func(open string) bool { return open == usual }); len(found) > 0 {
			return found
		}
	}
	return all
}
