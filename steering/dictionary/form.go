// SPDX-License-Identifier: Apache-2.0

package dictionary

import "fmt"

// Norm is what is done to an activation before it is encoded.
type Norm uint8

// The input norms. Behind the decoder their inverse follows, with the values of the activation that was encoded.
const (
	NoNorm       Norm = iota
	ConstantNorm      // Scale · x
	RescaleNorm       // x · √In / ‖x‖ (SAELens constant_norm_rescale)
	LayerNorm         // (x - mean) / (std + 1e-5) with the sample standard deviation; the inverse is · std + mean
)

// Kind is how pre-activations u become a code z.
type Kind uint8

// The activation kinds. Where values are equal, the lower index wins.
const (
	ReLU     Kind = iota // max(u, 0)
	TanhReLU             // tanh(max(u, 0))
	JumpReLU             // u where u > Threshold and u > 0
	TopK                 // the K largest u·Gate, of those the positive u
	RawTopK              // the K largest u, negative ones as well
	AbsTopK              // the K largest |u| with their signs
	GroupMax             // the largest of each of K groups of neighbours, where positive
	Gated                // max(u·MagScale + MagBias, 0) where u + GateBias > 0; EncBias is not used
	TopAFA               // as many of the largest max(u, 0)·‖Dec‖ as bring the code's norm nearest to ‖norm(x) - PreSub‖
	Pursuit              // a greedy loop over the rows of Dec; Enc is not used
)

var kindNames = [...]string{"relu", "tanh-relu", "jumprelu", "topk", "raw-topk", "abstopk", "groupmax", "gated", "top-afa", "pursuit"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// Activation is the step from pre-activations to a code; the fields that Kind does not name are zero.
type Activation struct {
	Kind      Kind
	K         int       // of TopK, RawTopK, AbsTopK and GroupMax
	Threshold []float32 // [N]; of JumpReLU
	Gate      []float32 // [N], or nil for ones; of TopK: what selection multiplies by, values do not
	GateBias  []float32 // [N]; of Gated
	MagBias   []float32 // [N]; of Gated
	MagScale  []float32 // [N]; of Gated: exp(r_mag)
	Pursuit   PursuitRule
}

// Form is the normal form. Matrices are row-major with one row a feature, so that Enc[f·In:(f+1)·In] is what a feature
// reads and Dec[f·Out:(f+1)·Out] what it writes. Whatever scales a format keeps apart are folded in.
//
// The form of a [Dictionary] is shared and must not be written.
type Form struct {
	In  int // width of the activation that is encoded
	Out int // width of the reconstruction; differs from In for some transcoders
	N   int // features

	Norm     Norm
	Scale    float32 // of ConstantNorm
	OutScale float32 // constant factor of the reconstruction, the decoder's bias included; 0 is 1
	OneWay   bool    // a transcoder: its output is another site's, so that the inverse of RescaleNorm or LayerNorm is not applied

	PreSub  []float32 // [In], or nil; subtracted after the norm
	Enc     []float32 // [N, In]; nil for a pursuit
	EncBias []float32 // [N], or nil
	Act     Activation
	Dec     []float32 // [N, Out]
	DecBias []float32 // [Out], or nil
	Skip    []float32 // [Out, In], or nil: Skip · x is added to the reconstruction, x as it came
}

// check compares lengths with sizes and looks for numbers that no file should hold.
func (f *Form) check() error {
	if f.In <= 0 || f.Out <= 0 || f.N <= 0 {
		return fmt.Errorf("want sizes above 0, found %d in, %d out, %d features", f.In, f.Out, f.N)
	}
	for _, t := range f.parts() {
		if len(t.data) == 0 && t.optional {
			continue
		}
		if len(t.data) != t.size {
			return fmt.Errorf("%s: want %d numbers, found %d", t.name, t.size, len(t.data))
		}
		for i, v := range t.data {
			// Thresholds may be infinite: nothing passes them.
			if v-v != 0 && (v != v || t.name != "threshold") {
				return fmt.Errorf("%s: want finite numbers, found %v at index %d", t.name, v, i)
			}
		}
	}
	return f.checkKind()
}

type part struct {
	name     string
	data     []float32
	size     int
	optional bool
}

func (f *Form) parts() []part {
	a, kind := &f.Act, f.Act.Kind
	return []part{
		{"encoder", f.Enc, f.N * f.In, kind == Pursuit},
		{"decoder", f.Dec, f.N * f.Out, false},
		{"encoder bias", f.EncBias, f.N, true},
		{"decoder bias", f.DecBias, f.Out, true},
		{"bias subtracted from the input", f.PreSub, f.In, true},
		{"skip", f.Skip, f.Out * f.In, true},
		{"threshold", a.Threshold, f.N, kind != JumpReLU},
		{"selection gate", a.Gate, f.N, true},
		{"gate bias", a.GateBias, f.N, kind != Gated},
		{"magnitude bias", a.MagBias, f.N, kind != Gated},
		{"magnitude scale", a.MagScale, f.N, kind != Gated},
	}
}

func (f *Form) checkKind() error {
	a := &f.Act
	switch a.Kind {
	case TopK, RawTopK, AbsTopK:
		if a.K < 1 {
			return fmt.Errorf("%s: want k of at least 1, found %d", a.Kind, a.K)
		}
	case GroupMax:
		if a.K < 1 || f.N%a.K != 0 {
			return fmt.Errorf("%s: want a number of groups that divides %d features, found %d", a.Kind, f.N, a.K)
		}
	case Pursuit:
		if f.In != f.Out {
			return fmt.Errorf("%s: want an output as wide as the input, found %d and %d", a.Kind, f.Out, f.In)
		}
		return a.Pursuit.check()
	case ReLU, TanhReLU, JumpReLU, Gated, TopAFA:
	default:
		return fmt.Errorf("want a known activation, found %s", a.Kind)
	}
	if f.Norm > LayerNorm || (f.Norm == ConstantNorm && !(f.Scale > 0)) || f.OutScale-f.OutScale != 0 {
		return fmt.Errorf("want a known norm with a scale above 0, found norm %d, scales %g and %g", f.Norm, f.Scale, f.OutScale)
	}
	return nil
}
