// SPDX-License-Identifier: Apache-2.0

// Package tokenizers reads any tokenizer.json through Hugging Face's own library, for the ones that models/tokenizer does not
// implement and as the oracle that its tests compare with.
//
// [Open] gives an [Engine], which tokenizer.FromEngine makes a tokenizer of. The library is linked only with the build tag
// tokenizers; without it everything builds, and Open says how to enable it. The library is github.com/daulet/tokenizers,
// whose Rust half scripts/tokenizers.sh builds into .trimtab/lib/libtokenizers.a.
package tokenizers
