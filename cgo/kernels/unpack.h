// SPDX-License-Identifier: Apache-2.0

// Tile blocks back to codes and scales, in plain C.
#ifndef TT_UNPACK_H
#define TT_UNPACK_H

#include "tile.h"

struct tt_unpacked {
    uint8_t code[8][64];      // quad, then row*4 + column
    float scale[2][TT_TILE];  // per scale group and row
    float min[2][TT_TILE];    // added, so minus the stored minimum of K-quants; set only where the format has minimums
};

// Reads the block b of a tile; for formats with codes only.
void tt_unpack(const struct tt_format *f, const uint8_t *tile, int b, struct tt_unpacked *u);

// The 16 weights of column c of a float tile.
static inline void tt_column(const struct tt_format *f, const uint8_t *tile, size_t c, float *w) {
    const uint8_t *p = tile + c * TT_TILE * f->stored;
    for (int r = 0; r < TT_TILE; r++)
        w[r] = f->type == TT_F32 ? tt_load_f32(p + 4 * r) : f->type == TT_F16 ? tt_load_f16(p + 2 * r) : tt_load_bf16(p + 2 * r);
}

#endif
