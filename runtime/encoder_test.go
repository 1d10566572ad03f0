// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"math"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
)

// TestEncoder holds the products that a tap sees against its own, within the slack that comes with them, and the logits against those of no tap.
func TestEncoder(t *testing.T) {
	for _, c := range []struct {
		name  string
		quant Quant
		bits  int
	}{{"8 bits", Keep, 0}, {"6 bits", Keep, 6}, {"32 bits", Keep, 32}, {"float32", Float32, 0}} {
		t.Run(c.name, func(t *testing.T) {
			m := tiny(t, Config{Quant: c.quant})
			const rows = 70 // no multiple of what a tile holds
			site := hooks.At(hooks.ResidPost, 1)
			e := &hooks.Encoder{Name: "test", Rows: rows, Weight: direction(rows*m.shape.Width, 3), Bits: c.bits}
			plain := trace(t, m, hooks.Once(hooks.Logits))
			seen := 0
			tap := hooks.Tap{Name: "encoded", Site: site, ReadOnly: true, Encoder: e, Func: func(a *hooks.Activation) error {
				for i := range a.Rows {
					seen++
					checkProducts(t, e, a, i)
				}
				return nil
			}}
			// Two taps share the matrix; one without stands between them.
			other := hooks.Tap{Name: "plain", Site: site, ReadOnly: true, Func: func(a *hooks.Activation) error {
				if len(a.Products) != 0 {
					t.Errorf("a tap without an encoder sees %d products", len(a.Products))
				}
				return nil
			}}
			watched := trace(t, m, hooks.Once(hooks.Logits), plan(hooks.Plan{Taps: []hooks.Tap{tap, other, tap}}))
			if seen != 2*len(prompt) {
				t.Errorf("products of %d rows were seen, want %d", seen, 2*len(prompt))
			}
			if !sameBits(plain, watched) {
				t.Error("logits differ while encoders run")
			}
			if n := len(m.encoders.held); n != 0 {
				t.Errorf("%d encoders are held after the session, want 0", n)
			}
		})
	}
}

func checkProducts(t *testing.T, e *hooks.Encoder, a *hooks.Activation, row int) {
	t.Helper()
	h, products := a.Row(row), a.ProductRow(row)
	far := 0.0
	for f, got := range products {
		want := 0.0
		for i, x := range h {
			want += float64(x) * float64(e.Weight[f*a.Width+i])
		}
		off := math.Abs(float64(got) - want)
		far = max(far, off)
		if bound := float64(a.Slack[f]) * dot.Length(h); off > bound {
			t.Errorf("row %d, product %d is %v, want %v within %v", row, f, got, want, bound)
		}
	}
	if bound := float64(a.Slack[0]) * dot.Length(h); far < bound/1e4 && far > 0 {
		t.Errorf("row %d: the largest error is %v, and the slack %v says nothing", row, far, bound)
	}
}

func TestEncoderRefused(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	huge := make([]float32, 2*m.shape.Width) // whose scale is past half precision: a bound that is no number would lose the feature
	huge[0] = 1e8
	for _, e := range []*hooks.Encoder{{Rows: 0}, {Rows: 2, Weight: make([]float32, 2*m.shape.Width-1)}, {Rows: 2, Weight: make([]float32, 2*m.shape.Width), Bits: 4}, {Rows: 2, Weight: huge}, {Rows: 2, Weight: huge, Bits: 6}} {
		_, err := s.Attach(plan(hooks.Plan{Taps: []hooks.Tap{{Name: "x", Site: hooks.At(hooks.ResidPost, 0), Encoder: e, Func: func(*hooks.Activation) error { return nil }}}}))
		if err == nil {
			t.Errorf("an encoder of %d rows and %d numbers was attached", e.Rows, len(e.Weight))
		}
	}
}

func TestReadGivesTheLogitsOfEveryToken(t *testing.T) {
	m := tiny(t, Config{Chunk: 3})
	want := trace(t, m, hooks.Once(hooks.Logits))
	s := newSession(t, m)
	var got []float32
	for range 2 {
		got = got[:0]
		s.Forget()
		next := 0
		err := s.Read(t.Context(), prompt, func(position int, logits []float32) error {
			if position != next {
				t.Errorf("logits of position %d, want %d", position, next)
			}
			next++
			got = append(got, logits...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !sameBits(got, want) {
		t.Error("Read gives other logits than a trace")
	}
}

// TestWishes: reports come with the token that is chosen next, Say replaces what the model would choose, Stop ends the answer.
func TestWishes(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	generated := 0
	tap := hooks.Tap{Name: "wish", Site: hooks.At(hooks.ResidPost, 1), ReadOnly: true, Func: func(a *hooks.Activation) error {
		for i := range a.Rows {
			a.Run.Report(hooks.Reading{Hook: "wish", Site: a.Site, Position: a.First + i, Value: float32(a.Tokens[i])})
		}
		if a.Phase == hooks.Decode {
			if generated++; generated == 3 {
				a.Run.Stop()
			}
		}
		return nil
	}}
	if _, err := s.Attach(plan(hooks.Plan{Taps: []hooks.Tap{tap}})); err != nil {
		t.Fatal(err)
	}
	var ids, positions []int
	var finish Finish
	for tok, err := range s.Generate(t.Context(), prompt, Options{MaxTokens: 10, IgnoreEOS: true}) {
		if err != nil {
			t.Fatal(err)
		}
		ids, finish = append(ids, int(tok.ID)), tok.Finish
		for _, r := range tok.Readings {
			positions = append(positions, r.Position)
		}
	}
	if len(ids) != 4 || finish != Halted {
		t.Errorf("%d tokens, ended by %q, want 4 by %q", len(ids), finish, Halted)
	}
	if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(positions, want) {
		t.Errorf("readings of positions %v, want %v", positions, want)
	}
}
