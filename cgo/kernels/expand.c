// SPDX-License-Identifier: Apache-2.0

// Stored blocks, bit by bit. Layouts: ggml-common.h and dequantize_row_* in ggml-quants.c of llama.cpp.
#include "expand.h"

// 2 bits: 32 bytes carry 128 columns, two bits for each run of 32.
static void expand_2bits(const uint8_t *qs, uint8_t *code) {
    for (int run = 0; run < 8; run++)
        for (int l = 0; l < 32; l++)
            code[32 * run + l] = qs[32 * (run / 4) + l] >> 2 * (run % 4) & 3;
}

// 4 bits: 32 bytes carry 64 columns, low nibbles first.
static void expand_4bits(const uint8_t *qs, uint8_t *code) {
    for (int run = 0; run < 4; run++)
        for (int l = 0; l < 32; l++) {
            code[64 * run + l] = qs[32 * run + l] & 15;
            code[64 * run + 32 + l] = qs[32 * run + l] >> 4;
        }
}

// One more bit, of value 1 << bit: 32 bytes carry all 256 columns, a bit for each run of 32.
static void expand_high(const uint8_t *qh, int bit, uint8_t *code) {
    for (int run = 0; run < 8; run++)
        for (int l = 0; l < 32; l++)
            code[32 * run + l] |= (qh[l] >> run & 1) << bit;
}

// 12 bytes carry eight 6-bit scales and eight 6-bit minimums (get_scale_min_k4).
static void scales_k4(const uint8_t *s, uint8_t *scale, uint8_t *min) {
    for (int j = 0; j < 4; j++) {
        scale[j] = s[j] & 63;
        min[j] = s[j + 4] & 63;
        scale[j + 4] = (s[j + 8] & 15) | s[j] >> 6 << 4;
        min[j + 4] = s[j + 8] >> 4 | s[j + 4] >> 6 << 4;
    }
}

// 12 bytes carry sixteen 6-bit scales, offset by 32.
static void scales_q3(const uint8_t *s, uint8_t *scale) {
    for (int k = 0; k < 16; k++) {
        int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
        int high = s[8 + k % 4] >> 2 * (k / 4) & 3;
        scale[k] = (uint8_t)((low | high << 4) - 32);
    }
}

static void expand_q6(const uint8_t *ql, const uint8_t *qh, uint8_t *code) {
    for (int run = 0; run < 8; run++) {
        const uint8_t *low = ql + 64 * (run / 4) + 32 * (run % 2), *high = qh + 32 * (run / 4);
        int nibble = run % 4 / 2 * 4, pair = run % 4 * 2;
        for (int l = 0; l < 32; l++)
            code[32 * run + l] = (low[l] >> nibble & 15) | (high[l] >> pair & 3) << 4;
    }
}

void tt_expand(int type, const uint8_t *s, struct tt_expanded *e) {
    switch (type) {
    case TT_Q2_K:
        memcpy(e->scale, s, 16);
        expand_2bits(s + 16, e->code);
        e->d = s + 80;
        e->dmin = s + 82;
        return;
    case TT_Q3_K:
        expand_2bits(s + 32, e->code);
        expand_high(s, 2, e->code);
        scales_q3(s + 96, e->scale);
        e->d = s + 108;
        return;
    case TT_Q4_K:
        scales_k4(s + 4, e->scale, e->min);
        expand_4bits(s + 16, e->code);
        e->d = s;
        e->dmin = s + 2;
        return;
    case TT_Q5_K:
        scales_k4(s + 4, e->scale, e->min);
        expand_4bits(s + 48, e->code);
        expand_high(s + 16, 4, e->code);
        e->d = s;
        e->dmin = s + 2;
        return;
    case TT_Q6_K:
        expand_q6(s, s + 128, e->code);
        memcpy(e->scale, s + 192, 16);
        e->d = s + 208;
        return;
    }
}
