// SPDX-License-Identifier: Apache-2.0

// Matrix products and attention on the CPU, over weights as GGUF files store them.
//
// A weight [rows, cols] is packed once into tiles of 16 rows, exactly: no value changes. Products take f32 and give f32. Inputs of block-quantised
// weights are rounded to 16 bits per 32 columns; those of F32, F16 and BF16 weights are not.
//
// One product y = x W^T with m rows of x:
//     tt_quantise(type, x, ldx, m, cols, scratch)                 once,
//     tt_linear_rows(..., scratch, m, y, ldy, tile0, tile1)       once per thread, each with its own range of tiles.
// A row of y does not depend on m, nor on how tiles are split: the bits are the same.
//
// Packed weights are read only and may be used by any number of threads. All functions are safe to call from any thread at once.
#ifndef TT_KERNELS_H
#define TT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Weight types: the numbers are those of GGUF.
enum tt_type {
    TT_F32 = 0,
    TT_F16 = 1,
    TT_Q4_0 = 2,
    TT_Q4_1 = 3,
    TT_Q5_0 = 6,
    TT_Q5_1 = 7,
    TT_Q8_0 = 8,
    TT_Q2_K = 10,
    TT_Q3_K = 11,
    TT_Q4_K = 12,
    TT_Q5_K = 13,
    TT_Q6_K = 14,
    TT_I8 = 24, // of caches only
    TT_BF16 = 30,
    TT_Q6_0 = 133,
};

// Results of the functions that return int.
enum tt_result {
    TT_OK = 0,
    TT_BAD_TYPE = -1,  // no kernel for this weight type
    TT_BAD_SHAPE = -2, // rows or cols not positive, too large, or cols no multiple of the type's block
    TT_BAD_RANGE = -3, // tiles or rows outside the matrix, or pieces that do not add up to its rows
    TT_BAD_ISA = -4,   // no such instruction set here
};

#define TT_TILE 16 // rows of a tile

// Stored rows stacked one below the other make up a weight: q, k and v may be three pieces.
struct tt_piece {
    const void *data;     // stored rows, row-major, no gaps
    int rows;             // of the weight, from this piece
    const int32_t *order; // NULL, or for each of them the stored row to take
};

int tt_supported(int type); // 1 or 0
// Bytes of one stored row; 0 for a bad type or shape. So in the next two.
size_t tt_stored_bytes(int type, int cols);
size_t tt_packed_bytes(int type, int rows, int cols);
// Scratch for m input rows of a weight of this type; any alignment does, 64 is best.
size_t tt_scratch_bytes(int type, int m, int cols);
int tt_tiles(int rows); // ceil(rows / 16)

// Packs tiles [tile0, tile1) of the weight that the pieces stack up to; threads may pack disjoint ranges.
int tt_pack(int type, const struct tt_piece *pieces, int npieces, int cols, int tile0, int tile1, void *packed);
// Writes row r as f32 to dst[cols], exactly the values the file means.
int tt_row(int type, const void *packed, int rows, int cols, int r, float *dst);

// Prepares m rows of x, row i at x + i*ldx, for products with weights of this type.
int tt_quantise(int type, const float *x, size_t ldx, int m, int cols, void *scratch);
// The same for rows [i0, i1) of the m only, so that threads may share the work.
int tt_quantise_rows(int type, const float *x, size_t ldx, int m, int cols, void *scratch, int i0, int i1);
// y[i*ldy + r] = sum over c of x[i][c] * W[r][c], for i < m and the rows r of tiles [tile0, tile1).
int tt_linear_rows(int type, const void *packed, int rows, int cols, const void *scratch, int m, float *y, size_t ldy,
                   int tile0, int tile1);

// Keys and values of one layer and one sequence. Tokens lie 16 by 16, all heads together, so that a cache is a prefix of a longer one: it is
// grown, cut and forked by copying bytes. Memory of zeros is an empty cache; what lies past the last token appended is never used.
struct tt_cache {
    int type;     // TT_F32, TT_F16 or TT_I8: signed bytes with a scale for each 32 columns of a token
    int kv_heads; // heads of keys and values
    int head;     // columns of a head, at most TT_MAX_HEAD
    void *data;   // tt_cache_bytes of memory, 64-byte aligned for speed
};
#define TT_MAX_HEAD 512

size_t tt_cache_bytes(int type, int kv_heads, int head, int tokens); // 0 for a bad type or shape
// Writes the keys and values of tokens [first, first+n): token i, head h at k + i*ldk + h*head, v likewise. Keys are rotated already.
int tt_cache_append(const struct tt_cache *cache, int first, int n, const float *k, size_t ldk, const float *v, size_t ldv);
// The opposite: tokens [first, first+n) as f32.
int tt_cache_read(const struct tt_cache *cache, int first, int n, float *k, size_t ldk, float *v, size_t ldv);

// Causal attention of n queries, the first of them token `first`, to the cache, which must hold tokens [0, first+n) already:
//     y[i][h] = sum over t of softmax over t of (cap(scale * q[i][h] . k[t][h / (heads/kv_heads)])) * v[t]
//     first+i-window < t <= first+i          cap(s) = softcap * tanh(s / softcap)
// The softmax of a head with a sink runs over one more score, the sink, which has no value. A result does not depend on n, nor on how parts are split:
// the bits are the same. Nor does it depend on tokens that the query does not see, be they not a number.
struct tt_attention {
    struct tt_cache cache;
    int heads; // of queries: a multiple of the cache's
    int first, n;
    int window;    // tokens each query sees, itself included; 0 for all
    float scale;   // usually 1/sqrt(head)
    float softcap; // 0 for none
    const float *q;
    size_t ldq; // query i, head h at q + i*ldq + h*head
    float *y;
    size_t ldy; // as q
    const float *sinks; // of each head; NULL for none
};

// The work falls into independent parts; threads compute each once, in any order, and one calls tt_attention_finish when all are done.
int tt_attention_parts(const struct tt_attention *a); // or a negative tt_result
size_t tt_attention_scratch(const struct tt_attention *a);
int tt_attention_rows(const struct tt_attention *a, int part0, int part1, void *scratch);
int tt_attention_finish(const struct tt_attention *a, const void *scratch);

// The instruction set in use: "plain", "avx2", "avxvnni", "avx512vnni" or "neon".
const char *tt_isa(void);
// Chooses another one, for tests; not while other threads compute. NULL chooses the best again.
int tt_select(const char *isa);

// The same functions as a table, for callers that do not link with this library but are given its address.
struct tt_kernels {
    uint32_t version; // of this layout: TT_VERSION
    uint32_t bytes;   // sizeof(struct tt_kernels)
    int (*supported)(int type);
    size_t (*stored_bytes)(int type, int cols);
    size_t (*packed_bytes)(int type, int rows, int cols);
    size_t (*scratch_bytes)(int type, int m, int cols);
    int (*tiles)(int rows);
    int (*pack)(int type, const struct tt_piece *pieces, int npieces, int cols, int tile0, int tile1, void *packed);
    int (*row)(int type, const void *packed, int rows, int cols, int r, float *dst);
    int (*quantise)(int type, const float *x, size_t ldx, int m, int cols, void *scratch);
    int (*quantise_rows)(int type, const float *x, size_t ldx, int m, int cols, void *scratch, int i0, int i1);
    int (*linear_rows)(int type, const void *packed, int rows, int cols, const void *scratch, int m, float *y, size_t ldy,
                       int tile0, int tile1);
    size_t (*cache_bytes)(int type, int kv_heads, int head, int tokens);
    int (*cache_append)(const struct tt_cache *cache, int first, int n, const float *k, size_t ldk, const float *v, size_t ldv);
    int (*cache_read)(const struct tt_cache *cache, int first, int n, float *k, size_t ldk, float *v, size_t ldv);
    int (*attention_parts)(const struct tt_attention *a);
    size_t (*attention_scratch)(const struct tt_attention *a);
    int (*attention_rows)(const struct tt_attention *a, int part0, int part1, void *scratch);
    int (*attention_finish)(const struct tt_attention *a, const void *scratch);
    const char *(*isa)(void);
};
#define TT_VERSION 3
const struct tt_kernels *tt_table(void);

#ifdef __cplusplus
}
#endif
#endif
