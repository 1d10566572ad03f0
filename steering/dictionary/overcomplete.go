// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"strings"

	"github.com/trimtab/trimtab/internal/dot"
)

// overcompleteFile is a state_dict of KempnerInstitute/overcomplete (overcomplete/sae/*.py). It does not hold the class, nor k.
type overcompleteFile struct {
	*reader
	cfg   config
	class string // in lower case; "" where no configuration has it
}

func (r *reader) overcomplete(cfg config) error {
	r.format = "overcomplete"
	o := &overcompleteFile{reader: r, cfg: cfg, class: strings.ToLower(cfg.str("class", "architecture", "sae_type", "name"))}
	if r.w.has("Q") || strings.Contains(o.class, "qsae") {
		return r.fault("class", "a class whose codes are sparse", "QSAE, which quantises them", "")
	}
	if err := o.atoms(); err != nil {
		return err
	}
	for name := range r.w.m {
		if strings.HasPrefix(name, "encoder.") {
			return o.linear()
		}
	}
	if o.class != "" && !strings.Contains(o.class, "mp") && !strings.Contains(o.class, "pursuit") {
		return o.linear()
	}
	return o.pursuit()
}

// atoms reads the rows as eval() fuses them: unit rows times exp(multiplier), or an archetypal dictionary's mixtures of points.
func (o *overcompleteFile) atoms() (err error) {
	f := o.form
	if o.w.has("dictionary.C") {
		err = o.archetypes()
	} else if f.N, f.In, err = o.w.dims("dictionary._weights"); err == nil {
		f.Dec, err = o.matrix("dictionary._weights", f.N, f.In, false)
		unitRows(f.Dec, max(f.In, 1))
	}
	if err != nil {
		return err
	}
	f.Out = f.In
	if !o.w.has("dictionary.multiplier") {
		return nil
	}
	m, err := o.w.scalar("dictionary.multiplier")
	if err != nil {
		return err
	}
	v := []float32{float32(m)}
	exponentiate(v)
	scaleRows(f.Dec, constant(f.N, v[0]))
	return nil
}

// archetypes is RelaxedArchetypalDictionary: W · C + Relax, W with positive rows of sum 1, rows of Relax no longer than delta.
func (o *overcompleteFile) archetypes() error {
	f := o.form
	points, width, err := o.w.dims("dictionary.C")
	if err != nil {
		return err
	}
	if f.N, _, err = o.w.dims("dictionary.W"); err != nil {
		return err
	}
	f.In = width
	c, err := o.matrix("dictionary.C", points, width, false)
	if err != nil {
		return err
	}
	mix, err := o.matrix("dictionary.W", f.N, points, false)
	if err != nil {
		return err
	}
	if f.Dec, err = o.matrix("dictionary.Relax", f.N, width, false); err != nil {
		return err
	}
	delta, err := o.cfg.float("delta", 1)
	if err != nil {
		return err
	}
	for i := range f.N {
		mixRow(f.Dec[i*width:(i+1)*width], mix[i*points:(i+1)*points], c, delta)
	}
	return nil
}

// mixRow makes a row of Relax, no longer than delta, an atom: weights · c + row.
func mixRow(row, weights, c []float32, delta float64) {
	shrink, sum := 1.0, 1e-8
	if n := dot.Length(row); n > delta {
		shrink = delta / n
	}
	for _, w := range weights {
		sum += float64(max(w, 0))
	}
	for j := range row {
		v := float64(row[j]) * shrink
		for i, w := range weights {
			v += float64(max(w, 0)) / sum * float64(c[i*len(row)+j])
		}
		row[j] = float32(v)
	}
}

func (o *overcompleteFile) pursuit() (err error) {
	rule := PursuitRule{Method: PlainMatching}
	if strings.HasPrefix(o.class, "omp") || strings.Contains(o.class, "orthogonal") {
		rule.Method = NonNegativeOrthogonal
	}
	if rule.K, err = o.cfg.integer("k", 1, o.opt.K); err != nil {
		return err
	}
	if rule.K == 0 {
		return fmt.Errorf("%w: give k", o.cfg.fault("k", "the number of rounds, which a state_dict does not hold"))
	}
	o.form.Act = Activation{Kind: Pursuit, Pursuit: rule}
	return nil
}

// linear reads an encoder of one linear layer, perhaps with a batch norm behind it, or none, where the atoms themselves encode.
func (o *overcompleteFile) linear() (err error) {
	f := o.form
	for name := range o.w.m {
		if strings.HasPrefix(name, "encoder.") && !o.oneLayer(name) {
			return o.w.fault(name, "an encoder of one linear layer, perhaps with a batch norm", "an encoder of more")
		}
	}
	o.w.rename("encoder.final_block.0.weight", "encoder.weight", "encoder.final_block.0.bias", "encoder.bias")
	if o.w.has("encoder.weight") {
		f.Enc, err = o.matrix("encoder.weight", f.N, f.In, false)
	} else {
		f.Enc = append([]float32(nil), f.Dec...)
	}
	if err != nil {
		return err
	}
	if f.EncBias, err = o.w.optional("encoder.bias", f.N); err != nil {
		return err
	}
	if err := o.batchNorm(); err != nil {
		return err
	}
	return o.activation()
}

// oneLayer tells whether a tensor belongs to an encoder that is linear at inference; a norm without running statistics is a layer norm.
func (o *overcompleteFile) oneLayer(name string) bool {
	switch strings.TrimPrefix(name, "encoder.") {
	case "weight", "bias", "final_block.0.weight", "final_block.0.bias":
		return true
	case "final_block.1.running_mean", "final_block.1.running_var", "final_block.1.num_batches_tracked":
		return true
	case "final_block.1.weight", "final_block.1.bias":
		return o.w.has("encoder.final_block.1.running_var")
	}
	return strings.HasPrefix(name, "encoder.tied_to.") // the dictionary itself
}

// batchNorm folds a batch norm with its running statistics into the encoder.
func (o *overcompleteFile) batchNorm() error {
	f := o.form
	const norm = "encoder.final_block.1."
	for name := range o.w.m {
		if strings.HasPrefix(name, "encoder.tied_to.") || name == norm+"num_batches_tracked" {
			o.w.used[name] = true
		}
	}
	if !o.w.has(norm + "running_var") {
		return nil
	}
	parts := map[string][]float32{}
	for _, name := range []string{"running_mean", "running_var", "weight", "bias"} {
		v, err := o.w.vector(norm+name, f.N)
		if err != nil {
			return err
		}
		parts[name] = v
	}
	if f.EncBias == nil {
		f.EncBias = make([]float32, f.N)
	}
	gain := parts["weight"]
	for i, v := range parts["running_var"] {
		gain[i] = float32(float64(gain[i]) / math.Sqrt(float64(v)+1e-5)) // torch's eps
		f.EncBias[i] = (f.EncBias[i]-parts["running_mean"][i])*gain[i] + parts["bias"][i]
	}
	scaleRows(f.Enc, gain)
	return nil
}

// activation tells the classes apart; SAE, TopKSAE and BatchTopKSAE have the same state_dict.
func (o *overcompleteFile) activation() (err error) {
	f, a := o.form, &o.form.Act
	switch {
	case o.w.has("thresholds"):
		a.Kind = JumpReLU
		if a.Threshold, err = o.w.vector("thresholds", f.N); err == nil {
			exponentiate(a.Threshold)
			justBelow(a.Threshold)
		}
		return err
	case strings.Contains(o.class, "batch"):
		t, err := o.cfg.float("running_threshold", 0)
		if err != nil || t == 0 {
			return o.cfg.fault("running_threshold", "the threshold of BatchTopKSAE, which its state_dict does not hold")
		}
		a.Kind, a.Threshold = JumpReLU, constant(f.N, float32(t))
		justBelow(a.Threshold)
		return nil
	case o.class == "sae":
		return nil
	}
	k, err := o.cfg.integer("k", 1, o.opt.K)
	if err != nil {
		return err
	}
	if a.K, err = o.cfg.integer("top_k", 1, k); err != nil {
		return err
	}
	if a.Kind = TopK; a.K == 0 {
		return fmt.Errorf("%w: give k where it is TopKSAE", o.cfg.fault("class", "SAE, TopKSAE or BatchTopKSAE in a configuration beside the file, whose state_dict is the same for all of them"))
	}
	return nil
}

// justBelow makes thresholds that a feature may equal such as it must exceed.
func justBelow(v []float32) {
	for i, t := range v {
		v[i] = math.Nextafter32(t, float32(math.Inf(-1)))
	}
}
