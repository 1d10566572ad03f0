// SPDX-License-Identifier: Apache-2.0

// Keys and values into the cache and out of it. attention.h draws the layout.
#include "attention.h"

static int good_cache(int type, int kv_heads, int head) {
    return (type == TT_F32 || type == TT_F16) && kv_heads > 0 && kv_heads <= 4096 && head > 0 && head <= TT_MAX_HEAD;
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

// One head's key and value of one token, as they are stored: `wide` columns, the last of them zeros.
static void put(const struct tt_cache *c, int token, int h, const uint8_t *k, const uint8_t *v) {
    size_t size = tt_cache_size(c->type), row = tt_wide(c->head) * size;
    uint8_t *keys = keys_at(c, token, h), *values = keys + tt_cache_half(c);
    int t = token % TT_TOKENS;
    if (size == 4)
        for (int d = 0; d < tt_wide(c->head); d++)
            memcpy(keys + ((size_t)d * TT_TOKENS + t) * 4, k + 4 * d, 4);
    else
        for (int d = 0; d < tt_wide(c->head); d++)
            memcpy(keys + ((size_t)d * TT_TOKENS + t) * 2, k + 2 * d, 2);
    memcpy(values + t * row, v, row);
}

// Columns as the cache stores them.
static void stored(const struct tt_cache *c, const float *src, void *dst) {
    size_t size = tt_cache_size(c->type);
    if (c->type == TT_F32)
        memcpy(dst, src, c->head * size);
    else
        tt_active()->halve(dst, src, c->head);
    memset((uint8_t *)dst + c->head * size, 0, (tt_wide(c->head) - c->head) * size);
}

int tt_cache_append(const struct tt_cache *c, int first, int n, const float *k, size_t ldk, const float *v, size_t ldv) {
    if (!good_cache(c->type, c->kv_heads, c->head))
        return TT_BAD_SHAPE;
    if (first < 0 || n < 0 || n > INT32_MAX - first)
        return TT_BAD_RANGE;
    float key[TT_MAX_HEAD], value[TT_MAX_HEAD];
    for (int i = 0; i < n; i++)
        for (int h = 0; h < c->kv_heads; h++) {
            stored(c, k + i * ldk + (size_t)h * c->head, key);
            stored(c, v + i * ldv + (size_t)h * c->head, value);
            put(c, first + i, h, (const uint8_t *)key, (const uint8_t *)value);
        }
    return TT_OK;
}

static float stored_value(int type, const uint8_t *p, size_t i) { return type == TT_F32 ? tt_load_f32(p + 4 * i) : tt_load_f16(p + 2 * i); }

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
                k[i * ldk + at + d] = stored_value(c->type, keys, (size_t)d * TT_TOKENS + t);
                v[i * ldv + at + d] = stored_value(c->type, values, t * tt_wide(c->head) + d);
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
