// SPDX-License-Identifier: Apache-2.0

// Sizes of weights and scratch.
#include "tile.h"

const struct tt_format *tt_format_of(int type) {
    for (size_t i = 0; i < sizeof TT_FORMATS / sizeof TT_FORMATS[0]; i++)
        if (TT_FORMATS[i].type == type)
            return &TT_FORMATS[i];
    return NULL;
}

int tt_supported(int type) { return tt_format_of(type) != NULL; }

int tt_tiles(int rows) { return rows / TT_TILE + (rows % TT_TILE != 0); }

// Below 2^24 columns every sum of products of codes and inputs of a block fits, and so does every size in 64 bits.
static int good_cols(const struct tt_format *f, int cols) {
    return f && cols > 0 && cols < 1 << 24 && cols % f->block == 0;
}

size_t tt_stored_bytes(int type, int cols) {
    const struct tt_format *f = tt_format_of(type);
    return good_cols(f, cols) ? (size_t)(cols / f->block) * f->stored : 0;
}

size_t tt_packed_bytes(int type, int rows, int cols) {
    const struct tt_format *f = tt_format_of(type);
    if (!good_cols(f, cols) || rows <= 0)
        return 0;
    return (size_t)tt_tiles(rows) * tt_tile_bytes(f, tt_blocks(cols));
}

size_t tt_scratch_bytes(int type, int m, int cols) {
    const struct tt_format *f = tt_format_of(type);
    if (!good_cols(f, cols) || m <= 0)
        return 0;
    return (size_t)m * tt_blocks(cols) * f->record;
}
