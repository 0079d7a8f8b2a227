/* SPDX-License-Identifier: Apache-2.0 */
/* vector_base.h: what every vector_*.h begins with. */
#ifndef ASSAY_VECTOR_BASE_H
#define ASSAY_VECTOR_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define INLINE static inline __attribute__((always_inline))

/* Loops over registers must vanish, or the registers become an array. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
