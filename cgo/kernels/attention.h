// SPDX-License-Identifier: Apache-2.0

// How a cache lies in memory, and the unit of work of attention. Internal to this folder.
//
// Columns of a head are filled up with zeros to a multiple of 16 (`wide`). Each 16 tokens are a block, in it head after head:
//
//     keys    [wide][16]   column by column: one vector holds a column of 16 tokens
//     values  [16][wide]   token by token
//
// Bytes have their scales before them, one for each 32 columns (a group) of a token: value = scale * byte.
//
//     keys    [groups][16] scales, [wide][16] bytes
//     values  [16][groups] scales, [16][wide] bytes
//
// A row is one query of one head. Rows that read the same keys are computed up to 24 together, over segments of 256 tokens: all scores of the
// segment, their exponentials, the weighted values. Segments are added up in order of tokens, whoever computed them.
#ifndef TT_ATTENTION_H
#define TT_ATTENTION_H

#include "tile.h"

#define TT_TOKENS 16   // of a block
#define TT_ROWS 24     // of a part, computed together
#define TT_SEGMENT 256 // tokens

static inline int tt_wide(int head) { return (head + 15) / 16 * 16; }

static inline size_t tt_cache_size(int type) { return type == TT_F32 ? 4 : type == TT_F16 ? 2 : 1; }

static inline int tt_groups(int wide) { return (wide + TT_COLS - 1) / TT_COLS; }

// Bytes of the scales before one head's keys, or values, in a block.
static inline size_t tt_cache_scales(int type, int wide) { return type == TT_I8 ? sizeof(float) * TT_TOKENS * tt_groups(wide) : 0; }

// Bytes of one head's keys, or values, in a block.
static inline size_t tt_cache_half(const struct tt_cache *c) {
    int wide = tt_wide(c->head);
    return tt_cache_scales(c->type, wide) + (size_t)wide * TT_TOKENS * tt_cache_size(c->type);
}

static inline size_t tt_cache_block(const struct tt_cache *c) { return 2 * tt_cache_half(c) * c->kv_heads; }

static inline float tt_cache_load(int type, const uint8_t *codes, size_t i, const uint8_t *scales, size_t j) {
    if (type == TT_I8)
        return tt_load_f32(scales + 4 * j) * (float)(int8_t)codes[i];
    return type == TT_F32 ? tt_load_f32(codes + 4 * i) : tt_load_f16(codes + 2 * i);
}

// Column d of a block's token t, from the block's keys or values of a head.
static inline float tt_cache_key(int type, int wide, const uint8_t *keys, size_t d, size_t t) {
    return tt_cache_load(type, keys + tt_cache_scales(type, wide), d * TT_TOKENS + t, keys, d / TT_COLS * TT_TOKENS + t);
}

static inline float tt_cache_value(int type, int wide, const uint8_t *values, size_t d, size_t t) {
    return tt_cache_load(type, values + tt_cache_scales(type, wide), t * wide + d, values, t * tt_groups(wide) + d / TT_COLS);
}

// Up to 24 rows against the keys and values of one segment of one head.
struct tt_segment {
    int type, head, wide;
    const uint8_t *block; // the first block's keys of this head
    size_t half, stride;  // bytes from a block's keys to its values, and to the next block's keys
    int rows;
    const float *q[TT_ROWS];
    int from[TT_ROWS], to[TT_ROWS]; // tokens of the segment that a row sees: from <= t < to, none when from >= to
    float scale, softcap;
    // Results: largest score, sum of exp(score - largest), sum of exp(score - largest) * value; largest is -infinity when a row sees nothing.
    float top[TT_ROWS], sum[TT_ROWS];
    float *out; // [rows][wide]
};

// Last token that any row sees, plus one; and the first.
static inline int tt_segment_end(const struct tt_segment *s) {
    int end = 0;
    for (int r = 0; r < s->rows; r++)
        end = s->to[r] > end ? s->to[r] : end;
    return end;
}

static inline int tt_segment_start(const struct tt_segment *s) {
    int start = TT_SEGMENT;
    for (int r = 0; r < s->rows; r++)
        start = s->from[r] < start ? s->from[r] : start;
    return start;
}

// exp(x) for x <= 0, within 2 units in the last place; 0 below -87. Cody and Waite's reduction by ln 2, then the Taylor series to x^7/7!, whose
// rest is below 2^-26 where |x| <= ln(2)/2.
#define TT_EXP_LEAST -87.0f
#define TT_LOG2_E 1.44269504f
#define TT_LN2_HIGH 0.693359375f // nine bits: its products with whole numbers are exact
#define TT_LN2_LOW -2.12194440e-4f
static inline float tt_exp(float x) {
    if (!(x >= TT_EXP_LEAST))
        return x < TT_EXP_LEAST ? 0 : x; // a NaN stays one
    float n = x * TT_LOG2_E + 12582912.0f; // rounds to the nearest whole number: 1.5 * 2^23
    n -= 12582912.0f;
    float r = x - n * TT_LN2_HIGH - n * TT_LN2_LOW;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * tt_f32_of_bits((uint32_t)((int)n + 127) << 23);
}

void tt_attend_plain(struct tt_segment *s);
void tt_halve_plain(uint16_t *dst, const float *src, int n);

#endif
