// SPDX-License-Identifier: Apache-2.0

// Keys and values into the cache and out of it. attention.h draws the layout.
#include "attention.h"

static int good_cache(int type, int kv_heads, int head) {
    return (type == TT_F32 || type == TT_F16 || type == TT_I8) && kv_heads > 0 && kv_heads <= 4096 && head > 0 && head <= TT_MAX_HEAD;
}

size_t tt_cache_bytes(int type, int kv_heads, int head, int tokens) {
    if (!good_cache(type, kv_heads, head) || tokens <= 0)
        return 0;
    struct tt_cache c = {type, kv_heads, head, NULL};
    return tt_cache_block(&c) * ((size_t)(tokens - 1) / TT_TOKENS + 1);
}

static uint8_t *keys_at(const struct tt_cache *c, int token, int h) {
    return (uint8_t *)c->data + (size_t)(token / TT_TOKENS) * tt_cache_block(c) + 2 * tt_cache_half(c) * h;
}

// One head's key or value of one token as it is stored: the last columns are zeros, and scales are those of bytes.
struct stored {
    float scale[TT_MAX_HEAD / TT_COLS];
    uint8_t columns[4 * TT_MAX_HEAD];
};

// Columns rounded to the high bytes of inputs of products.
static void to_bytes(const float *src, int n, struct stored *dst) {
    float all[TT_MAX_HEAD];
    struct tt_record record[TT_MAX_HEAD / TT_COLS];
    int groups = tt_groups(n);
    memcpy(all, src, n * sizeof *src);
    memset(all + n, 0, (groups * TT_COLS - n) * sizeof *src);
    tt_active()->quantise(&TT_FORMATS[AT_Q8_0], all, (uint8_t *)record, sizeof record[0], groups);
    for (int g = 0; g < groups; g++) {
        dst->scale[g] = TT_HIGH * record[g].dx;
        memcpy(dst->columns + g * TT_COLS, record[g].high, TT_COLS);
    }
}

static void store(const struct tt_cache *c, const float *src, struct stored *dst) {
    size_t size = tt_cache_size(c->type);
    if (c->type == TT_I8) {
        to_bytes(src, c->head, dst);
        return;
    }
    if (c->type == TT_F32)
        memcpy(dst->columns, src, c->head * size);
    else
        tt_active()->halve((uint16_t *)(void *)dst->columns, src, c->head);
    memset(dst->columns + c->head * size, 0, (tt_wide(c->head) - c->head) * size);
}

// A constant size makes each copy one instruction.
static inline void scatter(uint8_t *dst, const uint8_t *src, int n, size_t size) {
    for (int d = 0; d < n; d++)
        memcpy(dst + (size_t)d * TT_TOKENS * size, src + d * size, size);
}

static void put_key(const struct tt_cache *c, uint8_t *keys, int t, const struct stored *k) {
    int wide = tt_wide(c->head);
    uint8_t *codes = keys + tt_cache_scales(c->type, wide);
    if (c->type == TT_F32) {
        scatter(codes + 4 * t, k->columns, wide, 4);
    } else if (c->type == TT_F16) {
        scatter(codes + 2 * t, k->columns, wide, 2);
    } else {
        scatter(codes + t, k->columns, wide, 1);
        scatter(keys + 4 * t, (const uint8_t *)k->scale, tt_groups(wide), 4);
    }
}

static void put_value(const struct tt_cache *c, uint8_t *values, int t, const struct stored *v) {
    size_t wide = tt_wide(c->head), row = wide * tt_cache_size(c->type), scales = sizeof(float) * tt_groups((int)wide);
    if (c->type == TT_I8)
        memcpy(values + t * scales, v->scale, scales);
    memcpy(values + tt_cache_scales(c->type, (int)wide) + t * row, v->columns, row);
}

int tt_cache_append(const struct tt_cache *c, int first, int n, const float *k, size_t ldk, const float *v, size_t ldv) {
    if (!good_cache(c->type, c->kv_heads, c->head))
        return TT_BAD_SHAPE;
    if (first < 0 || n < 0 || n > INT32_MAX - first)
        return TT_BAD_RANGE;
    struct stored key, value;
    for (int i = 0; i < n; i++)
        for (int h = 0; h < c->kv_heads; h++) {
            uint8_t *keys = keys_at(c, first + i, h);
            store(c, k + i * ldk + (size_t)h * c->head, &key);
            store(c, v + i * ldv + (size_t)h * c->head, &value);
            put_key(c, keys, (first + i) % TT_TOKENS, &key);
            put_value(c, keys + tt_cache_half(c), (first + i) % TT_TOKENS, &value);
        }
    return TT_OK;
}

int tt_cache_read(const struct tt_cache *c, int first, int n, float *k, size_t ldk, float *v, size_t ldv) {
    if (!good_cache(c->type, c->kv_heads, c->head))
        return TT_BAD_SHAPE;
    if (first < 0 || n < 0 || n > INT32_MAX - first)
        return TT_BAD_RANGE;
    for (int i = 0; i < n; i++)
        for (int h = 0; h < c->kv_heads; h++) {
            const uint8_t *keys = keys_at(c, first + i, h), *values = keys + tt_cache_half(c);
            size_t t = (first + i) % TT_TOKENS, at = (size_t)h * c->head;
            for (int d = 0; d < c->head; d++) {
                k[i * ldk + at + d] = tt_cache_key(c->type, tt_wide(c->head), keys, d, t);
                v[i * ldv + at + d] = tt_cache_value(c->type, tt_wide(c->head), values, d, t);
            }
        }
    return TT_OK;
}

// Half precision from f32: ties to even, subnormals kept, too large becomes infinity.
static uint16_t half_of(float v) {
    uint32_t u;
    memcpy(&u, &v, 4);
    uint16_t sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000)
        return sign | 0x7e00;
    if (u >= 0x477ff000) // 65520 and above
        return sign | 0x7c00;
    if (u < 0x38800000) { // below 2^-14: adding a half moves the bits where they belong, rounded
        float shifted = tt_f32_of_bits(u) + 0.5f;
        memcpy(&u, &shifted, 4);
        return sign | (u - 0x3f000000);
    }
    return sign | ((u - 0x38000000 + 0xfff + (u >> 13 & 1)) >> 13);
}

void tt_halve_plain(uint16_t *dst, const float *src, int n) {
    for (int i = 0; i < n; i++)
        dst[i] = half_of(src[i]);
}
