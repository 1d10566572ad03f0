// SPDX-License-Identifier: Apache-2.0

// Products in plain C: the meaning of every faster kernel, and what runs where there is none.
#include "attention.h"
#include "unpack.h"

// Rounds v, |v| <= 2^22, to the nearest integer (even on ties) in the low byte: no conversion, so that a NaN is no undefined behaviour.
static inline int8_t round_byte(float v) {
    float shifted = v + 12582912.0f; // 1.5 * 2^23
    uint32_t u;
    memcpy(&u, &shifted, 4);
    return (int8_t)(u & 0xff);
}

// dx = max|x| / TT_MOST; the maximum is taken over the bits, so that a NaN wins and is not lost. low is of what high leaves over.
static void quantise_block(const struct tt_format *f, const float *x, struct tt_record *rec) {
    uint32_t top = 0, u[TT_COLS];
    memcpy(u, x, sizeof u);
    for (int c = 0; c < TT_COLS; c++) {
        uint32_t a = u[c] & 0x7fffffff;
        top = a > top ? a : top;
    }
    float max = tt_largest_input(top), high = max < TT_TINY ? 0 : 127.0f / max, low = TT_HIGH * high;
    rec->dx = max < TT_TINY ? 0 : max / TT_MOST;
    float step = TT_HIGH * rec->dx;
    int sum[2] = {0, 0};
    for (int c = 0; c < TT_COLS; c++) {
        rec->high[c] = round_byte(x[c] * high);
        float part = step * rec->high[c]; // rounded on its own, whatever the compiler
        rec->low[c] = round_byte((x[c] - part) * low);
        sum[c / 16] += TT_HIGH * rec->high[c] + rec->low[c];
    }
    tt_record_sums(f, rec, sum[0], sum[1]);
}

void tt_quantise_plain(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks) {
    for (int b = 0; b < blocks; b++) {
        struct tt_record rec;
        quantise_block(f, x + b * TT_COLS, &rec);
        memcpy(record + b * stride, &rec, sizeof rec);
    }
}

// Sums of products of one block's codes and one record, for 16 rows.
static void dot_block(const struct tt_unpacked *u, const struct tt_record *rec, int quad0, int quad1, int32_t *acc) {
    for (int s = quad0; s < quad1; s++)
        for (int r = 0; r < TT_TILE; r++)
            for (int c = 0; c < 4; c++)
                acc[r] += u->code[s][4 * r + c] * (TT_HIGH * rec->high[4 * s + c] + rec->low[4 * s + c]);
}

static void add_block(const struct tt_format *f, const struct tt_unpacked *u, const struct tt_record *rec, float *y) {
    int quads = 8 / f->groups;
    for (int g = 0; g < f->groups; g++) {
        int32_t acc[TT_TILE] = {0};
        dot_block(u, rec, g * quads, g * quads + quads, acc);
        for (int r = 0; r < TT_TILE; r++) {
            int32_t off = f->offset ? rec->off[g] : 0;
            y[r] += u->scale[g][r] * ((float)(acc[r] + off) * rec->dx);
        }
        for (int r = 0; r < TT_TILE && !f->offset; r++)
            y[r] += u->min[g][r] * rec->sum[g];
    }
}

static void add_columns(const struct tt_format *f, const uint8_t *tile, int b, const float *x, float *y) {
    float w[TT_TILE];
    for (int c = 0; c < TT_COLS; c++) {
        tt_column(f, tile, (size_t)b * TT_COLS + c, w);
        for (int r = 0; r < TT_TILE; r++)
            y[r] += w[r] * x[c];
    }
}

// Input rows of one group with one tile.
static void tile_group(const struct tt_product *p, const uint8_t *tile, int t, int i0, int n) {
    float y[TT_GROUP][TT_TILE] = {{0}};
    struct tt_unpacked u;
    for (int b = 0; b < p->blocks; b++) {
        if (p->f->groups)
            tt_unpack(p->f, tile, b, &u);
        for (int i = 0; i < n; i++) {
            const uint8_t *at = p->scratch + tt_record_at(p->f, p->m, p->blocks, i0 + i, b);
            struct tt_record rec;
            float x[TT_COLS];
            if (p->f->groups) {
                memcpy(&rec, at, sizeof rec);
                add_block(p->f, &u, &rec, y[i]);
            } else {
                memcpy(x, at, sizeof x);
                add_columns(p->f, tile, b, x, y[i]);
            }
        }
    }
    int rows = p->rows - t * TT_TILE < TT_TILE ? p->rows - t * TT_TILE : TT_TILE;
    for (int i = 0; i < n; i++)
        memcpy(p->y + (size_t)(i0 + i) * p->ldy + (size_t)t * TT_TILE, y[i], rows * sizeof(float));
}

static void linear(const struct tt_product *p, int tile0, int tile1) {
    for (int t = tile0; t < tile1; t++)
        for (int i = 0; i < p->m; i += TT_GROUP)
            tile_group(p, p->packed + t * p->tile, t, i, p->m - i < TT_GROUP ? p->m - i : TT_GROUP);
}

static int usable(void) { return 1; }

const struct tt_isa tt_plain = {"plain", usable, tt_quantise_plain, linear, tt_attend_plain, tt_halve_plain};
