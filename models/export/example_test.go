// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/models/export"
	"github.com/trimtab/trimtab/models/onnx"
)

func ExampleOpen() {
	var g onnx.Graph
	ids := g.Input("input_ids", onnx.Int64, onnx.Sym("batch"), onnx.Sym("tokens"))
	table := g.Constant("table", onnx.Float, make([]byte, 4*10*6), onnx.N(10), onnx.N(6))
	head := g.Constant("head", onnx.Float, make([]byte, 4*6*10), onnx.N(6), onnx.N(10))
	x := g.Add("Gather", "", []string{table, ids})
	g.Output(g.Add("MatMul", "", []string{x, head}), "logits", onnx.Float, onnx.Sym("batch"), onnx.Sym("tokens"), onnx.N(10))

	dir, err := os.MkdirTemp("", "export")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), g.Marshal(), 0o600); err != nil {
		panic(err)
	}
	m, err := export.Open(dir)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	fmt.Println(m.Width, m.Vocab, m.Sites())
	fmt.Println("final_norm:", m.Missing[export.Place{Point: "final_norm", Layer: export.Once}])
	// Output:
	// 6 10 map[{embeddings -1}:6 {logits -1}:10]
	// final_norm: nothing stands between the last residual and the head
}
