// SPDX-License-Identifier: Apache-2.0

#ifndef TRIMTAB_ORT_PROVIDER_H
#define TRIMTAB_ORT_PROVIDER_H

#include "session.h"

// Adds o's provider to session options.
OrtStatus* tt_provider_append(void* so, const tt_options* o);

#endif
