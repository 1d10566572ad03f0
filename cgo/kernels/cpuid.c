// SPDX-License-Identifier: Apache-2.0

// Processor features that not every compiler's __builtin_cpu_supports knows. Bits: Intel SDM volume 2A, CPUID.
#if defined(__x86_64__)
#include <cpuid.h>

#include "tile.h"

int tt_has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}

int tt_has_avxvnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif
