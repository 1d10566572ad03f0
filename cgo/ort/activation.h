// SPDX-License-Identifier: Apache-2.0

// The non-linearities of feed-forward layers over rows of gate and up, for the operators Glu and Experts, and those of routers, for Route.

#ifndef TRIMTAB_ORT_ACTIVATION_H
#define TRIMTAB_ORT_ACTIVATION_H

#include <stddef.h>

enum { TT_SILU, TT_GELU, TT_GELU_TANH };

// h[i] = act(gate[i]) · up[i]; without up (NULL), act(gate[i]).
void tt_activate(int kind, float* h, const float* gate, const float* up, size_t n);

// y = exp(x) / sum exp(x), and y = 1 / (1 + exp(-x)).
void tt_softmax(float* y, const float* x, size_t n);
void tt_sigmoid(float* y, const float* x, size_t n);

#endif
