// SPDX-License-Identifier: Apache-2.0

// Attention's work: which rows and tokens a part computes, and how parts are put together.
#include "attention.h"

// Few queries split the tokens among threads, since there is little else to split; many do not.
#define FEW 4
#define MINUS_INFINITY tt_f32_of_bits(0xff800000)

struct plan {
    int share;    // query heads per key head
    int rows;     // per key head
    int groups;   // of up to TT_ROWS rows
    int segments; // that any row sees
    int start;    // the first of them
    int splits;   // parts the segments fall into: 1 or segments
    int wide;
};

static struct plan plan_of(const struct tt_attention *a) {
    struct plan p;
    p.share = a->heads / a->cache.kv_heads;
    p.rows = a->n * p.share;
    p.groups = (p.rows + TT_ROWS - 1) / TT_ROWS;
    int oldest = a->window > 0 && a->first >= a->window ? a->first - a->window + 1 : 0;
    p.start = oldest / TT_SEGMENT;
    p.segments = (a->first + a->n - 1) / TT_SEGMENT + 1 - p.start;
    p.splits = a->n <= FEW ? p.segments : 1;
    p.wide = tt_wide(a->cache.head);
    return p;
}

static int check(const struct tt_attention *a) {
    if (!tt_cache_bytes(a->cache.type, a->cache.kv_heads, a->cache.head, 1))
        return TT_BAD_SHAPE;
    if (a->heads <= 0 || a->heads > 1 << 16 || a->heads % a->cache.kv_heads || a->n <= 0 || a->n > 1 << 20)
        return TT_BAD_SHAPE;
    if ((int64_t)a->n * a->heads > 1 << 30)
        return TT_BAD_SHAPE;
    if (a->first < 0 || a->first > INT32_MAX - a->n || a->window < 0)
        return TT_BAD_RANGE;
    return TT_OK;
}

int tt_attention_parts(const struct tt_attention *a) {
    int rc = check(a);
    if (rc)
        return rc;
    struct plan p = plan_of(a);
    return a->cache.kv_heads * p.groups * p.splits;
}

// A part's results while the tokens are split: tops, sums and outs of its rows. They are few: n is.
static int kept_rows(const struct plan *p) { return p->rows < TT_ROWS ? p->rows : TT_ROWS; }
static size_t kept(const struct plan *p) { return (size_t)kept_rows(p) * (p->wide + 2); }

size_t tt_attention_scratch(const struct tt_attention *a) {
    if (check(a))
        return 0;
    struct plan p = plan_of(a);
    return p.splits == 1 ? 0 : sizeof(float) * kept(&p) * a->cache.kv_heads * p.groups * p.splits;
}

// Sets up rows [row, row+s->rows) of key head h for a segment.
static void set_segment(const struct tt_attention *a, const struct plan *p, int h, int row, int segment, struct tt_segment *s) {
    int begin = segment * TT_SEGMENT;
    s->block = (const uint8_t *)a->cache.data + (size_t)begin / TT_TOKENS * s->stride + 2 * s->half * h;
    for (int r = 0; r < s->rows; r++) {
        int i = (row + r) / p->share, head = h * p->share + (row + r) % p->share, at = a->first + i;
        int from = a->window > 0 && at >= a->window ? at - a->window + 1 : 0;
        s->q[r] = a->q + (size_t)i * a->ldq + (size_t)head * a->cache.head;
        s->from[r] = from > begin ? from - begin : 0;
        s->to[r] = at + 1 - begin < TT_SEGMENT ? at + 1 - begin : TT_SEGMENT;
    }
}

// Adds one segment's results of a row to what is known of it: (top, sum, out) of size n.
static void add(float *top, float *sum, float *out, float top1, float sum1, const float *out1, int n) {
    if (top1 == MINUS_INFINITY) // sees nothing there
        return;
    if (*top == MINUS_INFINITY) {
        *top = top1, *sum = sum1;
        memcpy(out, out1, n * sizeof *out);
        return;
    }
    float most = *top > top1 ? *top : top1, old = tt_exp(*top - most), new = tt_exp(top1 - most);
    *top = most;
    *sum = *sum * old + sum1 * new;
    for (int d = 0; d < n; d++)
        out[d] = out[d] * old + out1[d] * new;
}

static float *result(const struct tt_attention *a, const struct plan *p, int h, int row) {
    int i = row / p->share, head = h * p->share + row % p->share;
    return a->y + (size_t)i * a->ldy + (size_t)head * a->cache.head;
}

// A row's result from all its segments' and the sink: one more score, which adds nothing to the values.
static void finish(const struct tt_attention *a, const struct plan *p, int h, int row, float top, float sum) {
    float *out = result(a, p, h, row);
    if (a->sinks) {
        const float nothing[TT_MAX_HEAD] = {0};
        add(&top, &sum, out, a->sinks[h * p->share + row % p->share], 1, nothing, a->cache.head);
    }
    for (int d = 0; d < a->cache.head; d++)
        out[d] /= sum;
}

// All segments of a group of rows, one after the other.
static void whole_rows(const struct tt_attention *a, const struct plan *p, int h, int row, struct tt_segment *s) {
    float top[TT_ROWS], sum[TT_ROWS];
    for (int r = 0; r < s->rows; r++)
        top[r] = MINUS_INFINITY, sum[r] = 0;
    int last = (a->first + (row + s->rows - 1) / p->share) / TT_SEGMENT;
    for (int segment = p->start; segment <= last; segment++) {
        set_segment(a, p, h, row, segment, s);
        tt_active()->attend(s);
        for (int r = 0; r < s->rows; r++)
            add(&top[r], &sum[r], result(a, p, h, row + r), s->top[r], s->sum[r], s->out + r * p->wide, a->cache.head);
    }
    for (int r = 0; r < s->rows; r++)
        finish(a, p, h, row + r, top[r], sum[r]);
}

int tt_attention_rows(const struct tt_attention *a, int part0, int part1, void *scratch) {
    int parts = tt_attention_parts(a);
    if (parts < 0)
        return parts;
    if (part0 < 0 || part1 < part0 || part1 > parts)
        return TT_BAD_RANGE;
    struct plan p = plan_of(a);
    float out[TT_ROWS * TT_MAX_HEAD];
    struct tt_segment s = {.type = a->cache.type, .head = a->cache.head, .wide = p.wide, .half = tt_cache_half(&a->cache),
        .stride = tt_cache_block(&a->cache), .scale = a->scale, .softcap = a->softcap, .out = out};
    for (int part = part0; part < part1; part++) {
        int group = part % p.groups, h = part / p.groups % a->cache.kv_heads, split = part / p.groups / a->cache.kv_heads;
        int row = group * TT_ROWS;
        s.rows = p.rows - row < TT_ROWS ? p.rows - row : TT_ROWS;
        if (p.splits == 1) {
            whole_rows(a, &p, h, row, &s);
            continue;
        }
        float *keep = (float *)scratch + kept(&p) * part;
        set_segment(a, &p, h, row, p.start + split, &s);
        s.out = keep + 2 * kept_rows(&p);
        tt_active()->attend(&s);
        memcpy(keep, s.top, s.rows * sizeof s.top[0]);
        memcpy(keep + kept_rows(&p), s.sum, s.rows * sizeof s.sum[0]);
    }
    return TT_OK;
}

int tt_attention_finish(const struct tt_attention *a, const void *scratch) {
    int rc = check(a);
    struct plan p = plan_of(a);
    if (rc || p.splits == 1)
        return rc;
    for (int h = 0; h < a->cache.kv_heads; h++)
        for (int row = 0; row < p.rows; row++) {
            float top = MINUS_INFINITY, sum = 0, *y = result(a, &p, h, row);
            for (int split = 0; split < p.splits; split++) {
                const float *keep = (const float *)scratch + kept(&p) * ((split * a->cache.kv_heads + h) * p.groups + row / TT_ROWS);
                int r = row % TT_ROWS, rows = kept_rows(&p);
                add(&top, &sum, y, keep[r], keep[rows + r], keep + 2 * rows + r * p.wide, a->cache.head);
            }
            finish(a, &p, h, row, top, sum);
        }
    return TT_OK;
}
