// SPDX-License-Identifier: Apache-2.0

// How packed weights and prepared inputs lie in memory. Internal to this folder.
//
// A tile holds 16 rows of the weight, all columns, in blocks of 32 columns one behind the other:
//
//     block:  scales (and minimums) of the 16 rows | low bits | high bits
//
// Bits lie in words of four bytes, a word for four columns (a quad) of one row, so that a vector of 16 words holds the quad for all 16 rows:
//
//     8 bits  eight vectors, quad 0..7                              byte = code
//     4 bits  four vectors i = 0..3                                 low nibble quad i, high nibble quad i+4
//     2 bits  two vectors i = 0, 1                                  bits 2s, 2s+1 quad 2s+i
//     1 bit   one vector                                            bit s quad s
//
// A code of 5 bits is 4 low and 1 high, one of 3 bits 2 and 1, one of 6 bits 4 and 2. K-quants have the half-precision scales of 16 rows
// before each eighth block (a superblock of 256 columns) and 8-bit scales in the blocks, two for each row where a scale covers 16 columns.
//
//     value = scale * (code - offset)   or   scale * code + minimum
#ifndef TT_TILE_H
#define TT_TILE_H

#include <string.h>

#include "kernels.h"

#define TT_COLS 32  // columns of a block
#define TT_GROUP 16 // input rows that lie interleaved in scratch

struct tt_format {
    int type;
    int block;  // columns of a stored block
    int stored; // bytes of a stored block
    int super;  // bytes before every eighth tile block
    int bytes;  // of a tile block
    int low, high; // bits of a code
    int offset; // taken from each code; 0 where there are minimums
    int groups; // scales per row in a tile block; 0 for floats
    int record; // bytes of 32 prepared inputs
};

// Every format; a constant index makes its fields constants to the compiler. Stored sizes: ggml-common.h of llama.cpp, for Q6_0 of ik_llama.cpp.
enum { AT_F32, AT_F16, AT_BF16, AT_Q4_0, AT_Q4_1, AT_Q5_0, AT_Q5_1, AT_Q6_0, AT_Q8_0, AT_Q2_K, AT_Q3_K, AT_Q4_K, AT_Q5_K, AT_Q6_K };
static const struct tt_format TT_FORMATS[] = {
    // type   block stored super bytes low high offset groups record
    {TT_F32, 1, 4, 0, 2048, 32, 0, 0, 0, 128},
    {TT_F16, 1, 2, 0, 1024, 16, 0, 0, 0, 128},
    {TT_BF16, 1, 2, 0, 1024, 16, 0, 0, 0, 128},
    {TT_Q4_0, 32, 18, 0, 288, 4, 0, 8, 1, 80},
    {TT_Q4_1, 32, 20, 0, 320, 4, 0, 0, 1, 80},
    {TT_Q5_0, 32, 22, 0, 352, 4, 1, 16, 1, 80},
    {TT_Q5_1, 32, 24, 0, 384, 4, 1, 0, 1, 80},
    {TT_Q6_0, 32, 26, 0, 416, 4, 2, 32, 1, 80},
    {TT_Q8_0, 32, 34, 0, 544, 8, 0, 128, 1, 80},
    {TT_Q2_K, 256, 84, 64, 160, 2, 0, 0, 2, 80},
    {TT_Q3_K, 256, 110, 32, 224, 2, 1, 4, 2, 80},
    {TT_Q4_K, 256, 144, 64, 288, 4, 0, 0, 1, 80},
    {TT_Q5_K, 256, 176, 64, 352, 4, 1, 0, 1, 80},
    {TT_Q6_K, 256, 210, 32, 416, 4, 2, 32, 2, 80},
};

// The format of a type, NULL when there is none.
const struct tt_format *tt_format_of(int type);

static inline int tt_blocks(int cols) { return (cols + TT_COLS - 1) / TT_COLS; }

static inline size_t tt_tile_bytes(const struct tt_format *f, int blocks) {
    return (size_t)blocks * f->bytes + (size_t)(blocks / 8) * f->super;
}

// Offset of block b in its tile, behind the superblock's scales.
static inline size_t tt_block_at(const struct tt_format *f, int b) {
    return (size_t)b * f->bytes + (f->super ? (size_t)(b / 8 + 1) * f->super : 0);
}

// Offset of the superblock's scales that block b needs.
static inline size_t tt_super_at(const struct tt_format *f, int b) {
    return (size_t)(b / 8) * (8 * (size_t)f->bytes + f->super);
}

static inline float tt_f32_of_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

// 32 inputs of block-quantised weights, rounded to 16 bits that two bytes hold: x = dx * (TT_HIGH * high + low), both at most 127 in size. A product sums
// the codes times each, and then, exactly, TT_HIGH times the one and the other. off is -offset * the inputs' sum per scale group, without dx; where the weights
// have minimums, sum is their sum.
#define TT_HIGH 254
struct tt_record {
    int8_t high[TT_COLS], low[TT_COLS];
    float dx;
    union {
        int32_t off[2];
        float sum[2];
    };
    float pad;
} __attribute__((packed)); // scratch may lie at any address

#define TT_MOST (127.0f * TT_HIGH) // the largest input counts so many dx

// Below this largest value of 32 inputs TT_MOST/max would overflow, or dx lose bits: they count as zeros.
#define TT_TINY 0x1p-100f

// The largest of 32 inputs, from the largest bits of their magnitudes; NaN is above all. Of the largest number there is, TT_HIGH * 127 * dx would overflow.
static inline float tt_largest_input(uint32_t bits) { return tt_f32_of_bits(bits == 0x7f7fffff ? bits - 1 : bits); }

// Fills in what the scale groups of f need, from the sums of the first and the last 16 rounded inputs.
static inline void tt_record_sums(const struct tt_format *f, struct tt_record *rec, int32_t first, int32_t last) {
    if (f->groups == 1) {
        first += last;
        last = 0;
    }
    if (f->offset) {
        rec->off[0] = -f->offset * first;
        rec->off[1] = -f->offset * last;
    } else {
        rec->sum[0] = rec->dx * (float)first;
        rec->sum[1] = rec->dx * (float)last;
    }
    rec->pad = 0;
}

// Prepared inputs lie in groups of 16 rows (the last group may be smaller), in each group block by block, in each block row by row.
static inline size_t tt_record_at(const struct tt_format *f, int m, int blocks, int i, int b) {
    int first = i - i % TT_GROUP;
    int size = m - first < TT_GROUP ? m - first : TT_GROUP;
    return ((size_t)first * blocks + (size_t)b * size + (i - first)) * f->record;
}

// One product, checked and ready to compute.
struct tt_product {
    const struct tt_format *f;
    const uint8_t *packed;
    size_t tile; // bytes
    int rows, blocks;
    const uint8_t *scratch;
    int m;
    float *y;
    size_t ldy;
};

// NEON's dot product: gcc compiles it for the functions that ask, clang only where the whole target has it, as Apple's does.
#if defined(__aarch64__) && (defined(__ARM_FEATURE_DOTPROD) || !defined(__clang__))
#define TT_NEON
#endif

struct tt_segment;

// One instruction set's kernels.
struct tt_isa {
    const char *name;
    int (*usable)(void);
    void (*quantise)(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks);
    void (*linear)(const struct tt_product *p, int tile0, int tile1);
    void (*attend)(struct tt_segment *s);
    void (*halve)(uint16_t *dst, const float *src, int n); // f32 to half precision, ties to even
};
extern const struct tt_isa tt_plain, tt_avx2, tt_avxvnni, tt_avx512vnni, tt_neon;
const struct tt_isa *tt_active(void);

// Parts that several instruction sets share.
void tt_quantise_plain(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks);
void tt_floats_neon(const struct tt_product *p, int tile0, int tile1);
void tt_attend_neon(struct tt_segment *s);
void tt_halve_neon(uint16_t *dst, const float *src, int n);
void tt_floats_avx2(const struct tt_product *p, int tile0, int tile1);
void tt_floats_avx512(const struct tt_product *p, int tile0, int tile1);
void tt_attend_avx2(struct tt_segment *s);
void tt_attend_avx512(struct tt_segment *s);
void tt_halve_f16c(uint16_t *dst, const float *src, int n);
void tt_quantise_avx2(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks);
int tt_has_f16c(void);
int tt_has_avxvnni(void);

// IEEE half precision, subnormals and infinities included.
static inline float tt_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31)
        return tt_f32_of_bits(sign | 0x7f800000 | m << 13);
    if (e)
        return tt_f32_of_bits(sign | (e + 112) << 23 | m << 13);
    float f = (float)m * 0x1p-24f;
    return sign ? -f : f;
}

static inline uint16_t tt_load16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

static inline float tt_load_f16(const uint8_t *p) { return tt_f16(tt_load16(p)); }
static inline float tt_load_bf16(const uint8_t *p) { return tt_f32_of_bits((uint32_t)tt_load16(p) << 16); }

static inline float tt_load_f32(const uint8_t *p) {
    float v;
    memcpy(&v, p, 4);
    return v;
}

#endif
