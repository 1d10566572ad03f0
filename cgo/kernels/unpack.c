// SPDX-License-Identifier: Apache-2.0

// Tile blocks back to codes and scales, in plain C: the meaning of the layout that tile.h draws.
#include "unpack.h"

static void low_bits(int low, const uint8_t *p, uint8_t (*code)[64]) {
    for (int s = 0; s < 8; s++)
        for (int k = 0; k < 64; k++) {
            if (low == 4)
                code[s][k] = p[64 * (s % 4) + k] >> 4 * (s / 4) & 15;
            else if (low == 2)
                code[s][k] = p[64 * (s % 2) + k] >> 2 * (s / 2) & 3;
            else
                code[s][k] = p[64 * s + k] ^ 0x80;
        }
}

static void high_bits(int low, int high, const uint8_t *p, uint8_t (*code)[64]) {
    for (int s = 0; s < 8; s++)
        for (int k = 0; k < 64; k++) {
            if (high == 1)
                code[s][k] |= (p[k] >> s & 1) << low;
            else
                code[s][k] |= (p[64 * (s % 2) + k] >> 2 * (s / 2) & 3) << low;
        }
}

static void super_scales(const struct tt_format *f, const uint8_t *super, const uint8_t *block, struct tt_unpacked *u) {
    for (int r = 0; r < TT_TILE; r++) {
        float d = tt_load_f16(super + 2 * r), dmin = f->super == 64 ? tt_load_f16(super + 32 + 2 * r) : 0;
        uint8_t a = block[r], b = block[16 + r];
        if (f->groups == 1) { // Q4_K, Q5_K
            u->scale[0][r] = d * a;
            u->min[0][r] = -(dmin * b);
        } else if (f->super == 64) { // Q2_K
            u->scale[0][r] = d * (a & 15);
            u->scale[1][r] = d * (b & 15);
            u->min[0][r] = -(dmin * (a >> 4));
            u->min[1][r] = -(dmin * (b >> 4));
        } else { // Q3_K, Q6_K
            u->scale[0][r] = d * (int8_t)a;
            u->scale[1][r] = d * (int8_t)b;
        }
    }
}

void tt_unpack(const struct tt_format *f, const uint8_t *tile, int b, struct tt_unpacked *u) {
    const uint8_t *block = tile + tt_block_at(f, b), *codes = block + 32;
    if (f->super) {
        super_scales(f, tile + tt_super_at(f, b), block, u);
    } else {
        for (int r = 0; r < TT_TILE; r++) {
            u->scale[0][r] = tt_load_f16(block + 2 * r);
            u->min[0][r] = f->offset ? 0 : tt_load_f16(block + 32 + 2 * r);
        }
        codes = block + (f->offset ? 32 : 64);
    }
    low_bits(f->low, codes, u->code);
    if (f->high)
        high_bits(f->low, f->high, codes + 64 * f->low, u->code);
}
