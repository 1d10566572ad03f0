// SPDX-License-Identifier: Apache-2.0

// The library as a table of function pointers.
#include "kernels.h"

static const struct tt_kernels table = {
    .version = TT_VERSION,
    .bytes = sizeof table,
    .supported = tt_supported,
    .stored_bytes = tt_stored_bytes,
    .packed_bytes = tt_packed_bytes,
    .scratch_bytes = tt_scratch_bytes,
    .tiles = tt_tiles,
    .pack = tt_pack,
    .row = tt_row,
    .quantise = tt_quantise,
    .quantise_rows = tt_quantise_rows,
    .linear_rows = tt_linear_rows,
    .cache_bytes = tt_cache_bytes,
    .cache_append = tt_cache_append,
    .cache_read = tt_cache_read,
    .attention_parts = tt_attention_parts,
    .attention_scratch = tt_attention_scratch,
    .attention_rows = tt_attention_rows,
    .attention_finish = tt_attention_finish,
    .isa = tt_isa,
};

const struct tt_kernels *tt_table(void) { return &table; }
