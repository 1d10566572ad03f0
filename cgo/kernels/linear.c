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
    for (int i = i0; i < i1; i++) {
        int first = i - i % TT_GROUP, size = m - first < TT_GROUP ? m - first : TT_GROUP;
        uint8_t *record = (uint8_t *)scratch + tt_record_at(f, m, blocks, i, 0);
        if (f->groups)
            tt_active()->quantise(f, x + i * ldx, record, (size_t)size * f->record, blocks);
        else
            copy_floats(f, x + i * ldx, cols, record, (size_t)size * f->record);
    }
    return TT_OK;
}

int tt_quantise(int type, const float *x, size_t ldx, int m, int cols, void *scratch) {
    return tt_quantise_rows(type, x, ldx, m, cols, scratch, 0, m);
}

// Inputs and tiles that are multiplied with each other before the next ones come: both then stay in the processor's second cache.
enum { INPUTS = 32, TILES = 16 };

static void blocked(const struct tt_product *p, int tile0, int tile1) {
    struct tt_product part = *p;
    for (int t = tile0; t < tile1; t += TILES)
        for (int i = 0; i < p->m; i += INPUTS) {
            part.scratch = p->scratch + tt_record_at(p->f, p->m, p->blocks, i, 0);
            part.m = p->m - i < INPUTS ? p->m - i : INPUTS;
            part.y = p->y + (size_t)i * p->ldy;
            tt_active()->linear(&part, t, tile1 - t < TILES ? tile1 : t + TILES);
        }
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
    if (f->groups && m > INPUTS)
        blocked(&p, tile0, tile1);
    else
        tt_active()->linear(&p, tile0, tile1);
    return TT_OK;
}
