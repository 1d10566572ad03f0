// SPDX-License-Identifier: Apache-2.0

// Which instruction set's kernels run: the best this processor has, found once, or the one a test asks for.
#include <stdatomic.h>

#include "tile.h"

// Best first.
static const struct tt_isa *const isas[] = {
#if defined(__x86_64__)
    &tt_avx512vnni,
    &tt_avxvnni,
    &tt_avx2,
#elif defined(TT_NEON)
    &tt_neon,
#endif
    &tt_plain,
};
#define ISAS (sizeof isas / sizeof isas[0])

static _Atomic(const struct tt_isa *) active;

const struct tt_isa *tt_active(void) {
    const struct tt_isa *isa = atomic_load_explicit(&active, memory_order_acquire);
    for (size_t i = 0; !isa && i < ISAS; i++) {
        if (isas[i]->usable()) {
            isa = isas[i];
            atomic_store_explicit(&active, isa, memory_order_release);
        }
    }
    return isa;
}

const char *tt_isa(void) { return tt_active()->name; }

int tt_select(const char *name) {
    if (!name) {
        atomic_store(&active, NULL);
        return TT_OK;
    }
    for (size_t i = 0; i < ISAS; i++) {
        if (!strcmp(isas[i]->name, name) && isas[i]->usable()) {
            atomic_store(&active, isas[i]);
            return TT_OK;
        }
    }
    return TT_BAD_ISA;
}
