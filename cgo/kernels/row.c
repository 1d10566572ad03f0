// SPDX-License-Identifier: Apache-2.0

// One row of a packed weight as f32, bit for bit what the file's own dequantiser gives.
#include "unpack.h"

static void row_block(const struct tt_format *f, const struct tt_unpacked *u, int r, float *dst) {
    for (int c = 0; c < TT_COLS; c++) {
        int code = u->code[c / 4][4 * r + c % 4], g = f->groups == 2 ? c / 16 : 0;
        float v = u->scale[g][r] * (float)(code - f->offset);
        dst[c] = f->offset ? v : v + u->min[g][r];
    }
}

int tt_row(int type, const void *packed, int rows, int cols, int r, float *dst) {
    const struct tt_format *f = tt_format_of(type);
    if (!f)
        return TT_BAD_TYPE;
    if (!tt_packed_bytes(type, rows, cols))
        return TT_BAD_SHAPE;
    if (r < 0 || r >= rows)
        return TT_BAD_RANGE;
    int blocks = tt_blocks(cols);
    const uint8_t *tile = (const uint8_t *)packed + (size_t)(r / TT_TILE) * tt_tile_bytes(f, blocks);
    float w[TT_TILE];
    for (int c = 0; !f->groups && c < cols; c++) {
        tt_column(f, tile, c, w);
        dst[c] = w[r % TT_TILE];
    }
    struct tt_unpacked u;
    for (int b = 0; f->groups && b < blocks; b++) {
        tt_unpack(f, tile, b, &u);
        row_block(f, &u, r % TT_TILE, dst + b * TT_COLS);
    }
    return TT_OK;
}
