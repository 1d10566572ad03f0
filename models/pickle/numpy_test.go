// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"slices"
	"strings"
	"testing"
)

// numpyPickles are what pickle.dumps of Python made of arrays of NumPy 2, with every byte that is no plain letter written out.
func numpyPickles() map[string]string {
	return map[string]string{
		"numbers, protocol 2": "\x80\x02}q\x00X\x01\x00\x00\x00wq\x01cnumpy._core.multiarray\x0a_reconstruct\x0aq\x02cnumpy\x0andarray\x0aq\x03K\x00\x85q\x04c_codecs\x0aencode\x0aq\x05X\x01\x00\x00\x00bq\x06X\x06\x00\x00\x00latin1q\x07\x86q\x08Rq\x09\x87q\x0aRq\x0b(K\x01K\x02K\x03\x86q\x0ccnumpy\x0adtype\x0aq\x0dX\x02\x00\x00\x00f4q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00<q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89h\x05X\x1c\x00\x00\x00\x00\x00\xc2\x80?\x00\x00\x00@\x00\x00@@\x00\x00\xc2\x80@\x00\x00\xc2\xa0@\x00\x00\xc3\x80@q\x13h\x07\x86q\x14Rq\x15tq\x16bs.",
		"numbers, protocol 4": "\x80\x04\x95\xaa\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01w\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02f4\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x18\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@\x00\x00\xc0@\x94t\x94bs.",
		"column-major":        "\x80\x03}q\x00X\x01\x00\x00\x00wq\x01cnumpy._core.multiarray\x0a_reconstruct\x0aq\x02cnumpy\x0andarray\x0aq\x03K\x00\x85q\x04C\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02K\x03\x86q\x08cnumpy\x0adtype\x0aq\x09X\x02\x00\x00\x00f8q\x0a\x89\x88\x87q\x0bRq\x0c(K\x03X\x01\x00\x00\x00<q\x0dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x88C0\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x10@\x00\x00\x00\x00\x00\x00\x00@\x00\x00\x00\x00\x00\x00\x14@\x00\x00\x00\x00\x00\x00\x08@\x00\x00\x00\x00\x00\x00\x18@q\x0ftq\x10bs.",
		"big-endian":          "\x80\x03}q\x00X\x01\x00\x00\x00wq\x01cnumpy._core.multiarray\x0a_reconstruct\x0aq\x02cnumpy\x0andarray\x0aq\x03K\x00\x85q\x04C\x01bq\x05\x87q\x06Rq\x07(K\x01K\x03\x85q\x08cnumpy\x0adtype\x0aq\x09X\x02\x00\x00\x00f4q\x0a\x89\x88\x87q\x0bRq\x0c(K\x03X\x01\x00\x00\x00>q\x0dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89C\x0c?\x80\x00\x00@\x00\x00\x00@@\x00\x00q\x0ftq\x10bs.",
		"scalar":              "\x80\x03}q\x00(X\x01\x00\x00\x00nq\x01cnumpy._core.multiarray\x0ascalar\x0aq\x02cnumpy\x0adtype\x0aq\x03X\x02\x00\x00\x00f4q\x04\x89\x88\x87q\x05Rq\x06(K\x03X\x01\x00\x00\x00<q\x07NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x08bC\x04\x00\x00 @q\x09\x86q\x0aRq\x0bX\x01\x00\x00\x00iq\x0ch\x02h\x03X\x02\x00\x00\x00i8q\x0d\x89\x88\x87q\x0eRq\x0f(K\x03h\x07NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10bC\x08\xfd\xff\xff\xff\xff\xff\xff\xffq\x11\x86q\x12Rq\x13u.",
		"objects":             "\x80\x04\x95\x8f\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01)h\x03\x8c\x05dtype\x94\x93\x94\x8c\x02O8\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?t\x94b\x89]\x94}\x94\x8c\x01a\x94K\x01sat\x94b.",
		"strings":             "\x80\x03}q\x00X\x01\x00\x00\x00wq\x01cnumpy._core.multiarray\x0a_reconstruct\x0aq\x02cnumpy\x0andarray\x0aq\x03K\x00\x85q\x04C\x01bq\x05\x87q\x06Rq\x07(K\x01K\x01\x85q\x08cnumpy\x0adtype\x0aq\x09X\x02\x00\x00\x00U2q\x0a\x89\x88\x87q\x0bRq\x0c(K\x03X\x01\x00\x00\x00<q\x0dNNNK\x08K\x04K\x08tq\x0eb\x89C\x08a\x00\x00\x00b\x00\x00\x00q\x0ftq\x10bs.",
	}
}

func array(t *testing.T, name string) (*Dict, *Array) {
	t.Helper()
	v, err := Decode(name, []byte(numpyPickles()[name]))
	if err != nil {
		t.Fatal(err)
	}
	d, ok := v.(*Dict)
	if !ok {
		t.Fatalf("%s: %T, want a dictionary", name, v)
	}
	w, _ := d.Get("w")
	a, _ := w.(*Array)
	return d, a
}

func TestDecodeReadsArrays(t *testing.T) {
	for _, name := range []string{"numbers, protocol 2", "numbers, protocol 4", "column-major"} {
		_, a := array(t, name)
		if a == nil {
			t.Fatalf("%s: no array", name)
		}
		got, err := a.AppendFloat32(nil)
		if err != nil || !slices.Equal(got, []float32{1, 2, 3, 4, 5, 6}) || !slices.Equal(a.Shape, []int{2, 3}) {
			t.Errorf("%s: %v of shape %v, %v", name, got, a.Shape, err)
		}
	}
	d, _ := array(t, "scalar")
	n, _ := d.Get("n")
	i, _ := d.Get("i")
	if n != 2.5 || i != int64(-3) {
		t.Errorf("scalars = %v and %v, want 2.5 and -3", n, i)
	}
	v, err := Decode("objects", []byte(numpyPickles()["objects"]))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := v.(*Array)
	if !ok || len(a.Items) != 1 || len(a.Shape) != 0 {
		t.Fatalf("objects = %#v, want one of no dimensions", v)
	}
	if one, _ := a.Items[0].(*Dict).Get("a"); one != int64(1) {
		t.Errorf("object = %v, want 1", one)
	}
}

func TestDecodeRefusesArrays(t *testing.T) {
	numbers := numpyPickles()["numbers, protocol 4"]
	for _, c := range []struct{ name, program, say string }{
		{"big-endian", numpyPickles()["big-endian"], "little-endian"},
		{"strings", numpyPickles()["strings"], "plain little-endian type"},
		{"a larger shape", strings.Replace(numbers, "K\x02K\x03\x86", "K\x09K\x03\x86", 1), "the bytes of an array"},
		{"a shape beyond memory", strings.Replace(numbers, "K\x02K\x03\x86", "J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", 1), "the bytes of an array"},
		{"a subclass", "\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nmatrix\n", `"numpy.matrix"`},
		{"a type alone", "\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R.", "found the type"},
		{"another codec", "\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "latin1"},
		{"a storage", "\x80\x02" + store + ".", "a storage beside it"},
	} {
		if v, err := Decode("x.npy", []byte(c.program)); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, %v, want it to say %q", c.name, v, err, c.say)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range numpyPickles() {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode("x", data)
		if err != nil {
			return
		}
		look(t, v, len(data), 4)
	})
}

// look holds that no array has more numbers than the file has bytes for.
func look(t *testing.T, v Value, size, depth int) {
	switch v := v.(type) {
	case *Array:
		if v.Items == nil && v.elem.width > 0 && v.Len()*v.elem.width > size {
			t.Fatalf("an array of %d numbers from %d bytes", v.Len(), size)
		}
		_, _ = v.AppendFloat32(nil)
		_, _ = v.AppendInt64(nil)
		for i := 0; i < len(v.Items) && depth > 0; i++ {
			look(t, v.Items[i], size, depth-1)
		}
	case *Dict:
		for i := 0; i < len(v.Values) && depth > 0; i++ {
			look(t, v.Values[i], size, depth-1)
		}
	}
}
