// SPDX-License-Identifier: Apache-2.0

// One segment of attention with vectors of 16 floats. The file that includes this has defined before
//
//     SIMD             the functions' target attribute
//     v16              16 floats, in as many registers as it takes
//     MOST             rows computed together at most: 4 or 24
//     ACROSS(rows)     vectors of each row computed together, so that all sums stay in registers
//     set1(x), load32(p), load16(p) of half precision, load8(p) of signed bytes, store(p, v)
//     mul_add(a, b, c) is a*b+c; mul, sub, add, divide, most(a, b) the larger; nearest(x) rounds; magnitude(x); with_sign(x, y) is x, x >= 0,
//     with y's sign; power(n) is 2^n; zero_below(p, x, least) is p, but 0 where x < least; largest(v), total(v) of the 16
//
// Each score and each result is summed in one order, whatever is computed beside it.
#include "attention.h"

#define INLINE SIMD static inline __attribute__((always_inline))

#define LINE (TT_SEGMENT + 16) // floats from a row's scores to the next row's: no power of two, which would crowd a few sets of the cache

INLINE v16 load(int type, const uint8_t *p) { return type == TT_F32 ? load32((const float *)p) : type == TT_F16 ? load16(p) : load8(p); }

// exp(x) for x <= 0; see tt_exp.
INLINE v16 exponential(v16 x) {
    v16 n = nearest(mul(x, set1(TT_LOG2_E)));
    v16 r = mul_add(n, set1(-TT_LN2_HIGH), x);
    r = mul_add(n, set1(-TT_LN2_LOW), r);
    v16 p = mul_add(set1(1.0f / 5040), r, set1(1.0f / 720));
    p = mul_add(p, r, set1(1.0f / 120));
    p = mul_add(p, r, set1(1.0f / 24));
    p = mul_add(p, r, set1(1.0f / 6));
    p = mul_add(p, r, set1(0.5f));
    p = mul_add(p, r, set1(1.0f));
    p = mul_add(p, r, set1(1.0f));
    return zero_below(mul(p, power(n)), x, TT_EXP_LEAST);
}

// softcap * tanh(x / softcap), by exp of what is never positive.
INLINE v16 soft(v16 x, float softcap) {
    v16 a = divide(x, set1(softcap)), e = exponential(mul(magnitude(a), set1(-2)));
    v16 t = divide(sub(set1(1), e), add(set1(1), e));
    return mul(with_sign(t, a), set1(softcap));
}

// Scores of n rows from r0 on with the keys of `across` blocks; q holds a column of all rows' queries in each line.
INLINE void score_blocks(int type, int n, int across, const struct tt_segment *s, const float (*q)[TT_ROWS], int r0, int block, float (*score)[LINE]) {
    const uint8_t *scales = s->block + block * s->stride, *keys = scales + tt_cache_scales(type, s->wide);
    size_t column = TT_TOKENS * tt_cache_size(type);
    v16 sum[24], k[4];
#pragma GCC unroll 24
    for (int j = 0; j < n * across; j++)
        sum[j] = set1(0);
    for (int d = 0; d < s->head; d++, keys += column) {
#pragma GCC unroll 24
        for (int b = 0; b < across; b++) {
            k[b] = load(type, keys + b * s->stride);
            if (type == TT_I8)
                k[b] = mul(k[b], load32((const float *)(scales + b * s->stride + d / TT_COLS * TT_TOKENS * 4)));
            if (n < 8)
                __builtin_prefetch(keys + (across + b) * s->stride);
        }
#pragma GCC unroll 24
        for (int j = 0; j < n * across; j++)
            sum[j] = mul_add(k[j % across], set1(q[d][r0 + j / across]), sum[j]);
    }
#pragma GCC unroll 24
    for (int j = 0; j < n * across; j++)
        store(score[r0 + j / across] + (block + j % across) * TT_TOKENS, mul(sum[j], set1(s->scale)));
}

INLINE void score_rows(int type, int n, const struct tt_segment *s, const float (*q)[TT_ROWS], int r0, int block0, int block1, float (*score)[LINE]) {
    int across = ACROSS(n), b = block0;
    for (; b + across <= block1; b += across)
        score_blocks(type, n, across, s, q, r0, b, score);
    for (; b < block1; b++)
        score_blocks(type, n, 1, s, q, r0, b, score);
}

// Scores of one row to exp(score - largest); 0 where the row sees nothing.
SIMD static void row_weights(struct tt_segment *s, int r, int begin, int end, float *score) {
    const float nothing = tt_f32_of_bits(0xff800000);
    int from = s->from[r] < end ? s->from[r] : end, to = s->to[r] > begin ? s->to[r] : begin;
    for (int t = begin; t < end && s->softcap > 0; t += 16)
        store(score + t, soft(load32(score + t), s->softcap));
    for (int t = begin; t < from; t++)
        score[t] = nothing;
    for (int t = to; t < end; t++)
        score[t] = nothing;
    s->top[r] = nothing;
    s->sum[r] = 0;
    if (from >= to) { // the others of the group do
        memset(score + begin, 0, (end - begin) * sizeof *score);
        return;
    }
    v16 top = set1(nothing), sum = set1(0);
    for (int t = begin; t < end; t += 16)
        top = most(top, load32(score + t));
    v16 all = set1(largest(top));
    for (int t = begin; t < end; t += 16) {
        v16 e = exponential(sub(load32(score + t), all));
        store(score + t, e);
        sum = add(sum, e);
    }
    s->sum[r] = total(sum);
    s->top[r] = s->sum[r] == s->sum[r] ? largest(top) : s->sum[r]; // a NaN shows
}

// Adds tokens begin to end-1 to columns [16*c, 16*(c+across)) of n rows from r0 on.
INLINE void add_values(int type, int n, int across, const struct tt_segment *s, int r0, int c, int begin, int end, float (*weight)[LINE]) {
    size_t size = tt_cache_size(type), row = s->wide * size, groups = tt_groups(s->wide);
    float *out = s->out + (size_t)r0 * s->wide + 16 * c;
    v16 sum[24], v[4];
#pragma GCC unroll 24
    for (int j = 0; j < n * across; j++)
        sum[j] = load32(out + (size_t)(j / across) * s->wide + 16 * (j % across));
    for (int t = begin; t < end;) {
        const uint8_t *start = s->block + t / TT_TOKENS * s->stride + s->half;
        const uint8_t *values = start + tt_cache_scales(type, s->wide) + t % TT_TOKENS * row + 16 * c * size;
        const uint8_t *scale = start + 4 * (t % TT_TOKENS * groups);
        const float *w = weight[r0] + t;
        int t1 = t - t % TT_TOKENS + TT_TOKENS < end ? t - t % TT_TOKENS + TT_TOKENS : end;
        for (; t < t1; t++, values += row, scale += 4 * groups, w++) {
            __asm__("" : "+r"(w)); // one pointer: gcc 12 would keep one for each row, most of them in memory
#pragma GCC unroll 24
            for (int i = 0; i < across; i++) {
                v[i] = load(type, values + 16 * i * size);
                if (type == TT_I8)
                    v[i] = mul(v[i], set1(tt_load_f32(scale + 4 * ((c + i) / 2))));
                if (n < 8)
                    __builtin_prefetch(values + 2 * s->stride + 16 * i * size);
            }
#pragma GCC unroll 24
            for (int j = 0; j < n * across; j++)
                sum[j] = mul_add(v[j % across], set1(w[j / across * LINE]), sum[j]);
        }
    }
#pragma GCC unroll 24
    for (int j = 0; j < n * across; j++)
        store(out + (size_t)(j / across) * s->wide + 16 * (j % across), sum[j]);
}

INLINE void add_rows(int type, int n, const struct tt_segment *s, int r0, int begin, int end, float (*weight)[LINE]) {
    int across = ACROSS(n), c = 0, columns = s->wide / 16;
    for (; c + across <= columns; c += across)
        add_values(type, n, across, s, r0, c, begin, end, weight);
    for (; c < columns; c++)
        add_values(type, n, 1, s, r0, c, begin, end, weight);
}

// Tokens that all n rows see are added to them together, the others row by row: a weight of 0 would not hide a value that is not a number.
INLINE void value_rows(int type, int n, const struct tt_segment *s, int r0, float (*weight)[LINE]) {
    int begin = 0, end = TT_SEGMENT;
    for (int r = r0; r < r0 + n; r++) {
        begin = s->from[r] > begin ? s->from[r] : begin;
        end = s->to[r] < end ? s->to[r] : end;
    }
    memset(s->out + (size_t)r0 * s->wide, 0, sizeof(float) * n * s->wide);
    end = end > begin ? end : begin;
    for (int r = r0; n > 1 && r < r0 + n; r++)
        add_rows(type, 1, s, r, s->from[r], begin < s->to[r] ? begin : s->to[r], weight);
    add_rows(type, n, s, r0, begin, end, weight);
    for (int r = r0; n > 1 && r < r0 + n; r++)
        add_rows(type, 1, s, r, end, s->to[r], weight);
}

// What a segment's rows share while they are computed.
struct shared {
    float q[TT_MAX_HEAD][TT_ROWS];
    float score[TT_ROWS][LINE] __attribute__((aligned(64)));
    int start, end; // blocks with keys that any row sees, and tokens
};

// n rows from r on: their scores in the first pass, their values in the second.
INLINE void pass(int type, int n, int second, const struct tt_segment *s, struct shared *w, int r) {
    if (second)
        value_rows(type, n, s, r, w->score);
    else
        score_rows(type, n, s, (const float(*)[TT_ROWS])w->q, r, w->start, (w->end + TT_TOKENS - 1) / TT_TOKENS, w->score);
}

// Rows go MOST, 8, 4, 3, 2 or 1 together.
INLINE void all_rows(int type, int second, const struct tt_segment *s, struct shared *w) {
    int r = 0;
    for (; r + MOST <= s->rows; r += MOST)
        pass(type, MOST, second, s, w, r);
    for (; MOST > 8 && r + 8 <= s->rows; r += 8)
        pass(type, 8, second, s, w, r);
    for (; MOST > 4 && r + 4 <= s->rows; r += 4)
        pass(type, 4, second, s, w, r);
    if (s->rows - r == 3)
        pass(type, 3, second, s, w, r);
    else if (s->rows - r == 2)
        pass(type, 2, second, s, w, r);
    else if (s->rows - r == 1)
        pass(type, 1, second, s, w, r);
}

INLINE void attend(int type, struct tt_segment *s) {
    struct shared w;
    w.end = tt_segment_end(s);
    w.start = tt_segment_start(s) / TT_TOKENS;
    for (int r = 0; r < s->rows; r++)
        for (int d = 0; d < s->head; d++)
            w.q[d][r] = s->q[r][d];
    all_rows(type, 0, s, &w);
    for (int r = 0; r < s->rows; r++)
        row_weights(s, r, w.start * TT_TOKENS, (w.end + TT_TOKENS - 1) / TT_TOKENS * TT_TOKENS, w.score[r]);
    all_rows(type, 1, s, &w);
}

SIMD static void attend_f32(struct tt_segment *s) { attend(TT_F32, s); }
SIMD static void attend_f16(struct tt_segment *s) { attend(TT_F16, s); }
SIMD static void attend_i8(struct tt_segment *s) { attend(TT_I8, s); }
