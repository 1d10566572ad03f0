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

// Both terms of one row: x, then x - dx * q of the first.
static void quantise_terms(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks) {
    const struct tt_isa *isa = tt_active();
    isa->quantise(f, x, record, stride, blocks);
    for (int b = 0; b < blocks; b++, x += TT_COLS, record += stride) {
        struct tt_record first;
        float rest[TT_COLS];
        memcpy(&first, record, sizeof first);
        for (int c = 0; c < TT_COLS; c++)
            rest[c] = x[c] - first.dx * first.q[c];
        isa->quantise(f, rest, record + sizeof first, stride, 1);
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
    int blocks = tt_blocks(cols), terms = f->groups ? TT_TERMS : 1;
    for (int i = i0; i < i1; i++) {
        int at = i * terms, first = at - at % TT_GROUP, size = m * terms - first < TT_GROUP ? m * terms - first : TT_GROUP;
        uint8_t *record = (uint8_t *)scratch + tt_record_at(f, m * terms, blocks, at, 0);
        if (f->groups)
            quantise_terms(f, x + i * ldx, record, (size_t)size * f->record, blocks);
        else
            copy_floats(f, x + i * ldx, cols, record, (size_t)size * f->record);
    }
    return TT_OK;
}

int tt_quantise(int type, const float *x, size_t ldx, int m, int cols, void *scratch) {
    return tt_quantise_rows(type, x, ldx, m, cols, scratch, 0, m);
}

// The two terms' results of up to ROWS inputs with some tiles are kept on the stack, FLOATS of them.
enum { ROWS = 32, FLOATS = 1 << 14 };

// y = first term + second term, for n inputs and the given columns.
static void add_terms(float *y, size_t ldy, const float *terms, size_t ld, int n, int columns) {
    for (int k = 0; k < n; k++, y += ldy, terms += TT_TERMS * ld)
        for (int c = 0; c < columns; c++)
            y[c] = terms[c] + terms[ld + c];
}

// Both terms of every input, for as many tiles at a time as the stack has room for.
static void linear_terms(const struct tt_product *p, int tile0, int tile1) {
    float terms[FLOATS];
    int most = FLOATS / (TT_TILE * TT_TERMS * (p->m < ROWS ? p->m : ROWS));
    struct tt_product part = *p;
    part.y = terms;
    part.ldy = (size_t)most * TT_TILE;
    for (int t = tile0; t < tile1; t += most) {
        int tiles = tile1 - t < most ? tile1 - t : most, rows = p->rows - t * TT_TILE;
        part.packed = p->packed + t * p->tile;
        part.rows = rows < tiles * TT_TILE ? rows : tiles * TT_TILE;
        for (int i = 0; i < p->m; i += ROWS) {
            int n = p->m - i < ROWS ? p->m - i : ROWS;
            part.scratch = p->scratch + tt_record_at(p->f, p->m * TT_TERMS, p->blocks, i * TT_TERMS, 0);
            part.m = n * TT_TERMS;
            tt_active()->linear(&part, 0, tiles);
            add_terms(p->y + (size_t)i * p->ldy + (size_t)t * TT_TILE, p->ldy, terms, part.ldy, n, part.rows);
        }
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
    if (f->groups)
        linear_terms(&p, tile0, tile1);
    else
        tt_active()->linear(&p, tile0, tile1);
    return TT_OK;
}
