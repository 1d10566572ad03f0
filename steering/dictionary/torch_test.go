// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/safetensors"
)

// entry is one value of a state_dict: floats with a shape, or, without floats, a plain value.
type entry struct {
	name  string
	data  []float32
	shape []int
	half  bool // bfloat16
	plain any  // int, string or []entry
}

func mat(name string, data []float32, shape ...int) entry {
	return entry{name: name, data: data, shape: shape}
}

// torchFile is what torch.save(state_dict) writes: an OrderedDict with _metadata as attribute.
func torchFile(t testing.TB, entries []entry) []byte {
	t.Helper()
	p := &pickler{}
	p.WriteString("\x80\x02")
	p.dict(entries)
	p.WriteString("}") // attributes
	p.str("_metadata")
	p.WriteString("ccollections\nOrderedDict\n)Rsb.")
	return torchArchive(t, p)
}

func torchArchive(t testing.TB, p *pickler) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	store := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	store("archive/data.pkl", p.Bytes())
	for i, s := range p.storages {
		store(fmt.Sprintf("archive/data/%d", i), s)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type pickler struct {
	bytes.Buffer
	storages [][]byte
}

func (p *pickler) str(s string) {
	p.WriteByte('X')
	p.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	p.WriteString(s)
}

func (p *pickler) num(n int) {
	p.WriteByte('J')
	p.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
}

func (p *pickler) dict(entries []entry) {
	p.WriteString("ccollections\nOrderedDict\n)R(")
	for _, e := range entries {
		p.str(e.name)
		switch v := e.plain.(type) {
		case int:
			p.num(v)
		case string:
			p.str(v)
		case []entry:
			p.dict(v)
		default:
			p.tensor(e)
		}
	}
	p.WriteByte('u')
}

func (p *pickler) tensor(e entry) {
	class := "FloatStorage"
	if e.half {
		class = "BFloat16Storage"
	}
	var data []byte
	for _, v := range e.data {
		if e.half {
			data = binary.LittleEndian.AppendUint16(data, quant.F32ToBF16(v))
			continue
		}
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	p.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((")
	p.str("storage")
	p.WriteString("ctorch\n" + class + "\n")
	p.str(fmt.Sprint(len(p.storages)))
	p.str("cpu")
	p.num(len(e.data))
	p.WriteString("tQ")
	p.num(0)
	p.WriteByte('(')
	for _, d := range e.shape {
		p.num(d)
	}
	p.WriteString("t(")
	step := len(e.data)
	for _, d := range e.shape {
		step /= d
		p.num(step)
	}
	p.WriteString("t\x89ccollections\nOrderedDict\n)RtR")
	p.storages = append(p.storages, data)
}

// npzFile writes arrays as numpy.savez does, deflated as numpy.savez_compressed where wanted.
func npzFile(t testing.TB, method uint16, entries []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name + ".npy", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		shape := ""
		for _, d := range e.shape {
			shape += fmt.Sprintf("%d,", d)
		}
		head := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape)
		for (10+len(head)+1)%64 != 0 {
			head += " "
		}
		head += "\n"
		b := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(head)))...)
		b = append(b, head...)
		for _, v := range e.data {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// folder writes files into a folder of its own: bytes as they are, entries as safetensors, anything else as JSON.
func folder(t testing.TB, files map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if entries, ok := content.([]entry); ok {
			var tensors []safetensors.Tensor
			for _, e := range entries {
				tensors = append(tensors, safetensors.Float32Tensor(e.name, e.data, e.shape...))
			}
			if err := safetensors.Write(path, tensors, nil); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, ok := content.([]byte)
		if !ok {
			var err error
			if data, err = json.Marshal(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
