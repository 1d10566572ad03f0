// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"regexp"
	"strconv"
)

var (
	qwenPattern     = regexp.MustCompile(`^layer(\d+)\.sae\.pt$`)
	qwenRepoPattern = regexp.MustCompile(`SAE-Res-([^/]+)-W\d+K-L0_(\d+)(?:/|$)`)
)

// qwenScope reads a layerN.sae.pt of Qwen Scope: W_enc [n, d] and W_dec [d, n], top-k without pre-bias and norm. Its k is only in
// the repository's name, such as SAE-Res-Qwen3-1.7B-Base-W32K-L0_50.
func (r *reader) qwenScope(name string) (err error) {
	r.format = "Qwen Scope"
	f, a := r.form, &r.form.Act
	if f.N, f.In, err = r.w.dims("W_enc"); err != nil {
		return err
	}
	f.Out = f.In
	if f.Enc, err = r.matrix("W_enc", f.N, f.In, false); err != nil {
		return err
	}
	if f.EncBias, err = r.w.vector("b_enc", f.N); err != nil {
		return err
	}
	if f.Dec, err = r.matrix("W_dec", f.N, f.Out, true); err != nil {
		return err
	}
	if f.DecBias, err = r.w.vector("b_dec", f.Out); err != nil {
		return err
	}
	r.address.setHook("blocks." + qwenPattern.FindStringSubmatch(name)[1] + ".hook_resid_post")
	r.address.PrependBOS = Yes
	a.Kind, a.K = TopK, r.opt.K
	if m := qwenRepoPattern.FindStringSubmatch(r.whole); m != nil {
		r.address.Model = "Qwen/" + m[1]
		a.K, err = strconv.Atoi(m[2])
	}
	if err != nil || a.K < 1 {
		return r.fault("k", "the repository's name above the file, such as SAE-Res-Qwen3-1.7B-Base-W32K-L0_50, which has k", r.whole, "give k")
	}
	return nil
}
