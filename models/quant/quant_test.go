// SPDX-License-Identifier: Apache-2.0

package quant_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/safetensors"
)

// pair opens a block type's fixture: the packed tensor and its values.
func pair(tb testing.TB, name string) (gguf.Tensor, []float32) {
	tb.Helper()
	path := fixture.Path(tb, "fixtures/quants/"+strings.ToLower(name)+".gguf")
	g, err := gguf.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { g.Close() })
	s, err := safetensors.Open(strings.TrimSuffix(path, ".gguf") + ".safetensors")
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	want, err := s.Float32("t")
	if err != nil {
		tb.Fatal(err)
	}
	got, ok := g.Tensor("t")
	if !ok {
		tb.Fatalf("%s: no tensor t", path)
	}
	return got, want
}

// TestFixtures compares every block type with the values that Python's gguf and ggml's C agree on, bit by bit.
func TestFixtures(t *testing.T) {
	text, err := os.ReadFile(fixture.Path(t, "fixtures/quants/manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]struct {
		Block int `json:"block"`
		Bytes int `json:"bytes_per_block"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) < 25 {
		t.Fatalf("manifest has %d types, want 25", len(manifest))
	}
	for name, m := range manifest {
		t.Run(name, func(t *testing.T) {
			tensor, want := pair(t, name)
			if tensor.Type.String() != name {
				t.Fatalf("type = %s, want %s", tensor.Type, name)
			}
			if block, bytes := tensor.Type.Block(); block != m.Block || bytes != m.Bytes {
				t.Fatalf("Block() = %d, %d, want %d, %d", block, bytes, m.Block, m.Bytes)
			}
			got := make([]float32, len(want))
			if err := quant.Dequantize(got, tensor.Type, tensor.Data); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("element %d = %v (%08x), want %v (%08x)", i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
				}
			}
		})
	}
	files, err := filepath.Glob(fixture.Path(t, "fixtures/quants") + "/*.gguf")
	if err != nil || len(files) != len(manifest) {
		t.Errorf("%d fixture files (%v), want the manifest's %d", len(files), err, len(manifest))
	}
}

func TestDequantizeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		n     int
		typ   quant.Type
		bytes int
		want  string
	}{
		"part of a block": {n: 31, typ: quant.Q4_0, bytes: 18, want: "multiple of 32"},
		"too few bytes":   {n: 64, typ: quant.Q4_0, bytes: 35, want: "want 36 bytes for 64 elements, found 35"},
		"too many bytes":  {n: 256, typ: quant.Q6_K, bytes: 211, want: "want 210"},
		"withdrawn type":  {n: 32, typ: 31, bytes: 18, want: "type 31: want a known"},
		"type beyond all": {n: 32, typ: 1 << 31, bytes: 18, want: "known"},
		"whole numbers":   {n: 2, typ: quant.I32, bytes: 8, want: "I32: want a type with float values"},
		"kernel's own":    {n: 256, typ: quant.Q8_K, bytes: 292, want: "Q8_K"},
	} {
		t.Run(name, func(t *testing.T) {
			err := quant.Dequantize(make([]float32, c.n), c.typ, make([]byte, c.bytes))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Dequantize = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	for name, c := range map[string]struct {
		typ  quant.Type
		n    int
		want int
		ok   bool
	}{
		"none":     {typ: quant.Q4_K, n: 0, want: 0, ok: true},
		"blocks":   {typ: quant.Q4_K, n: 1024, want: 576, ok: true},
		"negative": {typ: quant.F32, n: -1},
		"overflow": {typ: quant.F64, n: math.MaxInt/8 + 1},
		"largest":  {typ: quant.F64, n: math.MaxInt / 8, want: math.MaxInt / 8 * 8, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := quant.Bytes(c.typ, c.n)
			if got != c.want || (err == nil) != c.ok {
				t.Errorf("Bytes(%s, %d) = %d, %v, want %d, ok %v", c.typ, c.n, got, err, c.want, c.ok)
			}
		})
	}
}

// TestHalfExhaustive holds all 65536 halves to the definition of the format, and narrowing to be their inverse.
func TestHalfExhaustive(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		got := quant.F16ToF32(h)
		exponent, mantissa := int(h>>10&31), float64(h&1023)
		want := math.Ldexp(1024+mantissa, exponent-25)
		switch {
		case exponent == 0:
			want = math.Ldexp(mantissa, -24)
		case exponent == 31 && mantissa == 0:
			want = math.Inf(1)
		case exponent == 31:
			want = math.NaN()
		}
		if h>>15 != 0 {
			want = -want
		}
		same := math.Float32bits(got) == math.Float32bits(float32(want)) || got != got && want != want
		if !same {
			t.Fatalf("F16ToF32(%#04x) = %v, want %v", h, got, want)
		}
		back := quant.F32ToF16(got)
		if back != h && got == got {
			t.Fatalf("F32ToF16(F16ToF32(%#04x)) = %#04x", h, back)
		}
		if got != got && (back&0x7c00 != 0x7c00 || back&0x3ff == 0) {
			t.Fatalf("F32ToF16(NaN %#04x) = %#04x, want a NaN", h, back)
		}
	}
}

// TestNarrowRounds compares narrowing with its definition: of the two neighbours the nearer, of equally near ones the even.
func TestNarrowRounds(t *testing.T) {
	for i := range 0x7c00 { // halves from 0 to the largest; beyond it the next step is infinity's place, 65536
		low := float64(quant.F16ToF32(uint16(i)))
		high := float64(quant.F16ToF32(uint16(i + 1)))
		if i+1 == 0x7c00 {
			high = 65536
		}
		even := uint16(i + i&1)
		middle := float32((low + high) / 2)
		for _, c := range []struct {
			f    float32
			want uint16
		}{{middle, even}, {math.Nextafter32(middle, 0), uint16(i)}, {math.Nextafter32(middle, 1e9), uint16(i + 1)}} {
			if got := quant.F32ToF16(c.f); got != c.want {
				t.Fatalf("F32ToF16(%v) = %#04x, want %#04x", c.f, got, c.want)
			}
			if got := quant.F32ToF16(-c.f); got != c.want|0x8000 {
				t.Fatalf("F32ToF16(%v) = %#04x, want %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
	for name, c := range map[string]struct {
		bits uint32
		want uint16
	}{
		"exact":            {0x3f800000, 0x3f80},
		"below the middle": {0x3f807fff, 0x3f80},
		"tie to even":      {0x3f808000, 0x3f80},
		"tie to even up":   {0x3f818000, 0x3f82},
		"above the middle": {0x3f808001, 0x3f81},
		"to infinity":      {0x7f7fffff, 0x7f80},
		"minus infinity":   {0xff800000, 0xff80},
		"quieted NaN":      {0x7f800001, 0x7fc0},
		"smallest":         {0x00010000, 0x0001},
	} {
		if got := quant.F32ToBF16(math.Float32frombits(c.bits)); got != c.want {
			t.Errorf("%s: F32ToBF16(%#08x) = %#04x, want %#04x", name, c.bits, got, c.want)
		}
		if got := math.Float32bits(quant.BF16ToF32(c.want)); got != uint32(c.want)<<16 {
			t.Errorf("BF16ToF32(%#04x) = %#08x", c.want, got)
		}
	}
}

// BenchmarkDequantize reports MB/s of float32 written, over a tensor too large for the caches.
func BenchmarkDequantize(b *testing.B) {
	for _, typ := range []quant.Type{
		quant.F32, quant.F16, quant.BF16, quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.Q8_0,
		quant.Q2_K, quant.Q3_K, quant.Q4_K, quant.Q5_K, quant.Q6_K, quant.IQ4_NL, quant.IQ4_XS, quant.IQ2_XS, quant.IQ3_S, quant.IQ1_S, quant.TQ2_0, quant.MXFP4,
	} {
		b.Run(typ.String(), func(b *testing.B) {
			dst := make([]float32, 1<<22)
			n, err := quant.Bytes(typ, len(dst))
			if err != nil {
				b.Fatal(err)
			}
			src := make([]byte, n)
			for i := 0; i+1 < n; i += 2 { // halves near 1, as scales and weights are
				binary.LittleEndian.PutUint16(src[i:], uint16(0x3800+i*7%0x800))
			}
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				if err := quant.Dequantize(dst, typ, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
