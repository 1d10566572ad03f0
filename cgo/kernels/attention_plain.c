// SPDX-License-Identifier: Apache-2.0

// One segment of attention in plain C: the meaning of the faster ones.
#include "attention.h"

// softcap * tanh(x / softcap), by exp of what is never positive.
static float cap(float x, float softcap) {
    float a = x / softcap, e = tt_exp(a > 0 ? -2 * a : 2 * a), t = (1 - e) / (1 + e);
    return softcap * (a > 0 ? t : -t);
}

static void row_scores(const struct tt_segment *s, int r, float *score) {
    for (int t0 = s->from[r] / TT_TOKENS * TT_TOKENS; t0 < s->to[r]; t0 += TT_TOKENS) {
        const uint8_t *keys = s->block + t0 / TT_TOKENS * s->stride;
        float sum[TT_TOKENS] = {0};
        for (int d = 0; d < s->head; d++)
            for (int t = 0; t < TT_TOKENS; t++)
                sum[t] += s->q[r][d] * tt_cache_key(s->type, s->wide, keys, d, t);
        for (int t = 0; t < TT_TOKENS; t++)
            score[t0 + t] = s->softcap > 0 ? cap(sum[t] * s->scale, s->softcap) : sum[t] * s->scale;
    }
}

// Scores to exp(score - largest).
static void row_weights(struct tt_segment *s, int r, float *score) {
    float top = tt_f32_of_bits(0xff800000), sum = 0;
    for (int t = s->from[r]; t < s->to[r]; t++)
        top = score[t] > top ? score[t] : top;
    for (int t = s->from[r]; t < s->to[r]; t++) {
        score[t] = tt_exp(score[t] - top);
        sum += score[t];
    }
    s->top[r] = sum == sum ? top : sum; // a NaN shows
    s->sum[r] = sum;
}

static void row_values(const struct tt_segment *s, int r, const float *weight) {
    float *out = s->out + (size_t)r * s->wide;
    memset(out, 0, s->wide * sizeof *out);
    for (int t = s->from[r]; t < s->to[r]; t++) {
        const uint8_t *values = s->block + t / TT_TOKENS * s->stride + s->half;
        for (int d = 0; d < s->wide; d++)
            out[d] += weight[t] * tt_cache_value(s->type, s->wide, values, d, t % TT_TOKENS);
    }
}

void tt_attend_plain(struct tt_segment *s) {
    float score[TT_SEGMENT];
    for (int r = 0; r < s->rows; r++) {
        row_scores(s, r, score);
        row_weights(s, r, score);
        row_values(s, r, score);
    }
}
