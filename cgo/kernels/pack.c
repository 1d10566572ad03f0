// SPDX-License-Identifier: Apache-2.0

// Stored rows to tiles. tile.h draws what is written here.
#include "expand.h"

// The 16 rows of a tile. Rows past the weight's end read the same block of zeros again and again.
struct sources {
    const uint8_t *row[TT_TILE];
    size_t step[TT_TILE]; // bytes to the row's next block
};

// Words of four bytes go 64 apart: one per vector.
static inline void put_quads(uint8_t *dst, const uint8_t *bytes, int n) {
    for (int i = 0; i < n; i++)
        memcpy(dst + 64 * i, bytes + 4 * i, 4);
}

static inline uint64_t load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

// 32 codes to 16 bytes of nibbles: column j low, column j+16 high.
static inline void put_low4(uint8_t *dst, const uint8_t *code) {
    uint64_t w[2];
    for (int k = 0; k < 2; k++)
        w[k] = (load64(code + 8 * k) & 0x0f0f0f0f0f0f0f0f) | (load64(code + 16 + 8 * k) & 0x0f0f0f0f0f0f0f0f) << 4;
    put_quads(dst, (const uint8_t *)w, 4);
}

// 32 codes, two bits of each from bit `from` on, to 8 bytes: column j + 8s at bits 2s.
static inline void put_2bits(uint8_t *dst, const uint8_t *code, int from) {
    uint64_t w = 0;
    for (int s = 0; s < 4; s++)
        w |= (load64(code + 8 * s) >> from & 0x0303030303030303) << 2 * s;
    put_quads(dst, (const uint8_t *)&w, 2);
}

// 32 codes, bit `from` of each, to 4 bytes: column j + 4s at bit s.
static inline void put_bit(uint8_t *dst, const uint8_t *code, int from) {
    uint32_t w = 0;
    for (int s = 0; s < 8; s++) {
        uint32_t v;
        memcpy(&v, code + 4 * s, 4);
        w |= (v >> from & 0x01010101) << s;
    }
    memcpy(dst, &w, 4);
}

// Low and high bits of one row's 32 codes; dst is the row's first word.
static void put_codes(const struct tt_format *f, uint8_t *dst, const uint8_t *code) {
    if (f->low == 4)
        put_low4(dst, code);
    else
        put_2bits(dst, code, 0);
    dst += f->low * 64;
    if (f->high == 1)
        put_bit(dst, code, f->low);
    if (f->high == 2)
        put_2bits(dst, code, f->low);
}

// The fifth bits of Q5 blocks, bit j for column j, to 4 bytes: column c + 4s at bit s of byte c.
static inline void put_fifth(uint8_t *dst, const uint8_t *qh) {
    uint32_t h, w = 0;
    memcpy(&h, qh, 4);
    for (int c = 0; c < 4; c++) {
        uint32_t v = h >> c & 0x11111111; // every fourth bit, then together
        v = (v | v >> 3) & 0x03030303;
        v = (v | v >> 6) & 0x000f000f;
        w |= ((v | v >> 12) & 0xff) << 8 * c;
    }
    memcpy(dst, &w, 4);
}

// The upper two bits of Q6_0's codes, where columns 8 to 15 and 16 to 23 stand the other way round.
static inline void put_upper(uint8_t *dst, const uint8_t *qh) {
    uint64_t w = load64(qh);
    w = (w & 0xc3c3c3c3c3c3c3c3) | (w & 0x0c0c0c0c0c0c0c0c) << 2 | (w >> 2 & 0x0c0c0c0c0c0c0c0c);
    put_quads(dst, (const uint8_t *)&w, 2);
}

// A block of 32 columns: scale, minimum where there is one, upper bits where there are, then nibbles or bytes in the order a tile wants. high is how many words
// of upper bits there are.
static inline void pack_legacy(int halves, int low, int high, const struct sources *s, uint8_t *dst) {
    uint8_t *codes = dst + 32 * halves;
    for (int r = 0; r < TT_TILE; r++) {
        const uint8_t *src = s->row[r];
        for (int h = 0; h < halves; h++)
            memcpy(dst + 32 * h + 2 * r, src + 2 * h, 2);
        put_quads(codes + 4 * r, src + 2 * halves + 4 * high, low);
        if (high == 2)
            put_upper(codes + 64 * low + 4 * r, src + 2 * halves);
        if (high == 1)
            put_fifth(codes + 64 * low + 4 * r, src + 2 * halves);
    }
}

// A superblock of 256 columns: half-precision scales, then eight blocks.
static void pack_super(const struct tt_format *f, const struct sources *s, uint8_t *dst) {
    struct tt_expanded e;
    for (int r = 0; r < TT_TILE; r++) {
        tt_expand(f->type, s->row[r], &e);
        memcpy(dst + 2 * r, e.d, 2);
        if (f->super == 64)
            memcpy(dst + 32 + 2 * r, e.dmin, 2);
        for (int b = 0; b < 8; b++) {
            uint8_t *block = dst + f->super + b * f->bytes;
            block[r] = f->groups == 2 ? e.scale[2 * b] : e.scale[b];
            block[16 + r] = f->groups == 2 ? e.scale[2 * b + 1] : e.min[b];
            put_codes(f, block + 32 + 4 * r, e.code + 32 * b);
        }
    }
}

// Floats: column by column, 16 rows each; columns up to a multiple of 32 are zeros.
static inline void pack_floats(size_t size, const struct sources *s, int cols, uint8_t *dst) {
    size_t padded = (size_t)tt_blocks(cols) * TT_COLS;
    for (int c = 0; c < cols; c++)
        for (int r = 0; r < TT_TILE; r++)
            memcpy(dst + ((size_t)c * TT_TILE + r) * size, s->row[r] + c * s->step[r], size);
    memset(dst + cols * TT_TILE * size, 0, (padded - cols) * TT_TILE * size);
}

static void pack_block(const struct tt_format *f, const struct sources *s, uint8_t *dst) {
    switch (f->type) {
    case TT_Q4_0: pack_legacy(1, 4, 0, s, dst); return;
    case TT_Q4_1: pack_legacy(2, 4, 0, s, dst); return;
    case TT_Q5_0: pack_legacy(1, 4, 1, s, dst); return;
    case TT_Q5_1: pack_legacy(2, 4, 1, s, dst); return;
    case TT_Q6_0: pack_legacy(1, 4, 2, s, dst); return;
    case TT_Q8_0: pack_legacy(1, 8, 0, s, dst); return;
    default: pack_super(f, s, dst);
    }
}

static void pack_tile(const struct tt_format *f, struct sources *s, int cols, uint8_t *dst) {
    if (!f->groups && f->stored == 4) {
        pack_floats(4, s, cols, dst);
        return;
    }
    if (!f->groups) {
        pack_floats(2, s, cols, dst);
        return;
    }
    size_t bytes = f->super + (size_t)f->block / TT_COLS * f->bytes;
    for (int b = 0; b < cols / f->block; b++, dst += bytes) {
        pack_block(f, s, dst);
        for (int r = 0; r < TT_TILE; r++)
            s->row[r] += s->step[r];
    }
}

static const uint8_t zeros[256];

// Finds row r of the stacked pieces; NULL past their end.
static const uint8_t *stored_row(const struct tt_piece *p, int n, int64_t r, size_t bytes) {
    for (int i = 0; i < n; r -= p[i].rows, i++)
        if (r < p[i].rows)
            return (const uint8_t *)p[i].data + bytes * (p[i].order ? p[i].order[r] : r);
    return NULL;
}

int tt_pack(int type, const struct tt_piece *pieces, int npieces, int cols, int tile0, int tile1, void *packed) {
    const struct tt_format *f = tt_format_of(type);
    if (!f)
        return TT_BAD_TYPE;
    size_t bytes = tt_stored_bytes(type, cols);
    if (!bytes)
        return TT_BAD_SHAPE;
    int64_t rows = 0;
    for (int i = 0; i < npieces; i++) {
        if (pieces[i].rows < 0)
            return TT_BAD_RANGE;
        rows += pieces[i].rows;
    }
    if (rows <= 0 || rows > INT32_MAX - TT_TILE || tile0 < 0 || tile1 < tile0 || tile1 > tt_tiles((int)rows))
        return TT_BAD_RANGE;
    size_t tile = tt_tile_bytes(f, tt_blocks(cols));
    for (int t = tile0; t < tile1; t++) {
        struct sources s;
        for (int r = 0; r < TT_TILE; r++) {
            s.row[r] = stored_row(pieces, npieces, (int64_t)t * TT_TILE + r, bytes);
            s.step[r] = s.row[r] ? f->stored : 0;
            if (!s.row[r])
                s.row[r] = zeros;
        }
        pack_tile(f, &s, cols, (uint8_t *)packed + t * tile);
    }
    return TT_OK;
}
