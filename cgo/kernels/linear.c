// SPDX-License-Identifier: Apache-2.0

// The checked entry points of products: arguments are looked at here once, the kernels trust them.
#include "tile.h"

// Floats are only laid out in records of 32, the last one filled up with zeros.
static void copy_floats(const struct tt_format *f, const float *x, int cols, uint8_t *record, size_t stride) {
    for (int c = 0; c < cols; c += TT_COLS, record += stride) {
        int n = cols - c < TT_COLS ? cols - c : TT_COLS;
        memcpy(record, x + c, n * sizeof *x);
        memset(record + n * sizeof *x, 0, f->record - n * sizeof *x);
    }
}

int tt_quantise_rows(int type, const float *x, size_t ldx, int m, int cols, void *scratch, int i0, int i1) {
    const struct tt_format *f = tt_format_of(type);
    if (!f)
        return TT_BAD_TYPE;
    if (!tt_scratch_bytes(type, m, cols))
        return TT_BAD_SHAPE;
    if (i0 < 0 || i1 < i0 || i1 > m)
        return TT_BAD_RANGE;
    int blocks = tt_blocks(cols);
    const struct tt_isa *isa = tt_active();
    for (int i = i0; i < i1; i++) {
        int first = i - i % TT_GROUP, size = m - first < TT_GROUP ? m - first : TT_GROUP;
        uint8_t *record = (uint8_t *)scratch + tt_record_at(f, m, blocks, i, 0);
        if (f->groups)
            isa->quantise(f, x + i * ldx, record, (size_t)size * f->record, blocks);
        else
            copy_floats(f, x + i * ldx, cols, record, (size_t)size * f->record);
    }
    return TT_OK;
}

int tt_quantise(int type, const float *x, size_t ldx, int m, int cols, void *scratch) {
    return tt_quantise_rows(type, x, ldx, m, cols, scratch, 0, m);
}

int tt_linear_rows(int type, const void *packed, int rows, int cols, const void *scratch, int m, float *y, size_t ldy,
                   int tile0, int tile1) {
    const struct tt_format *f = tt_format_of(type);
    if (!f)
        return TT_BAD_TYPE;
    if (!tt_packed_bytes(type, rows, cols) || m <= 0)
        return TT_BAD_SHAPE;
    if (tile0 < 0 || tile1 < tile0 || tile1 > tt_tiles(rows))
        return TT_BAD_RANGE;
    int blocks = tt_blocks(cols);
    struct tt_product p = {f, packed, tt_tile_bytes(f, blocks), rows, blocks, scratch, m, y, ldy};
    tt_active()->linear(&p, tile0, tile1);
    return TT_OK;
}
