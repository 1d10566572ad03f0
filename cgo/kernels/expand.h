// SPDX-License-Identifier: Apache-2.0

// One stored K-quant block of 256 columns with its bits spread out.
#ifndef TT_EXPAND_H
#define TT_EXPAND_H

#include "tile.h"

struct tt_expanded {
    uint8_t code[256];
    uint8_t scale[16]; // per 16 columns (Q2_K, Q3_K, Q6_K) or per 32 (Q4_K, Q5_K); signed for Q3_K and Q6_K; Q2_K: low nibble scale, high minimum
    uint8_t min[8];    // Q4_K, Q5_K
    const uint8_t *d, *dmin; // half precision, in the stored block
};

// Fills e from a stored block of one of the K types.
void tt_expand(int type, const uint8_t *stored, struct tt_expanded *e);

#endif
