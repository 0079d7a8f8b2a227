/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_sets.h: declares assay_<kernel>_<set> for every kernel and set, for
 * the sets' own files and for dispatch.c. A set with VNNI in its name has
 * integer kernels only and shares the others with the one it extends. */
#ifndef ASSAY_KERNELS_SETS_H
#define ASSAY_KERNELS_SETS_H

#include "kernels/kernels.h"

#define FLOAT_KERNEL(name, parameters) void assay_##name##_scalar parameters;
#define INTEGER_KERNEL FLOAT_KERNEL
#include "kernels/kernels.inc"
#undef FLOAT_KERNEL
#ifdef __x86_64__
#define FLOAT_KERNEL(name, parameters) void assay_##name##_avx2 parameters;
#include "kernels/kernels.inc"
#undef FLOAT_KERNEL
#define FLOAT_KERNEL(name, parameters) void assay_##name##_avx512 parameters;
#include "kernels/kernels.inc"
#undef FLOAT_KERNEL
#undef INTEGER_KERNEL
#define FLOAT_KERNEL(name, parameters)
#define INTEGER_KERNEL(name, parameters) void assay_##name##_avxvnni parameters;
#include "kernels/kernels.inc"
#undef INTEGER_KERNEL
#define INTEGER_KERNEL(name, parameters) void assay_##name##_avx512vnni parameters;
#include "kernels/kernels.inc"
#undef FLOAT_KERNEL
#endif
#undef INTEGER_KERNEL

#endif
