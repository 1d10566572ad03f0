// SPDX-License-Identifier: Apache-2.0

// What is done to one row at one site, for passes whose rows belong to different sequences: a chain of steps in memory that Go writes (steps.go has the
// same layout). The graph is given their addresses, int64 [rows, sites], 0 for nothing.

#ifndef TRIMTAB_ORT_STEPS_H
#define TRIMTAB_ORT_STEPS_H

#include <stdint.h>

#include "ops.h"

// The operations of hooks.Op by number, and a tap behind them.
enum { TT_ADD, TT_ADD_KEEP_NORM, TT_PROJECT, TT_PROJECT_POSITIVE, TT_CLAMP, TT_ROTATE, TT_RAISE, TT_ROUTE, TT_TAP };

typedef struct {
  int64_t op;
  int64_t more;                 // another step of the same site follows in memory
  int64_t run, tap, open;       // of a tap: see op_tap.c
  const float* v[4];            // directions, as hooks.Edit.Operands returns them
  const void* encoder;          // of a tap: a packed matrix, or NULL
  int64_t encoder_type, encoder_rows;
  float c, x0, x1, unused;      // strength; the bounds of a clamp, cosine and sine of a rotation
} tt_step;

// Implemented in Go (tap.go): 0 for success; what failed is kept on the Go side.
extern int32_t trimtabTap(int64_t run, int64_t tap, float* data, int64_t rows, int64_t width, float* products, int64_t encoded);

// The first step of a row; NULL for none.
static inline const tt_step* tt_first_step(const int64_t* table, int64_t sites, int64_t row, int64_t site) {
  return (const tt_step*)(uintptr_t)table[row * sites + site];
}

static inline const tt_step* tt_next_step(const tt_step* s) { return s->more ? s + 1 : NULL; }

// Carries out an edit on one row, 4 · width bytes. A Route is left to its router.
void tt_edit(const tt_step* s, float* h, int64_t width);

#endif
