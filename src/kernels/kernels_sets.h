/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_sets.h: declares assay_<kernel>_<set> for every kernel and set, for
 * the sets' own files and for dispatch.c. */
#ifndef ASSAY_KERNELS_SETS_H
#define ASSAY_KERNELS_SETS_H

#include "kernels/kernels.h"

#define KERNEL(name, parameters) void assay_##name##_scalar parameters;
#include "kernels/kernels.inc"
#undef KERNEL

#ifdef __x86_64__
#define KERNEL(name, parameters) void assay_##name##_avx2 parameters;
#include "kernels/kernels.inc"
#undef KERNEL
#define KERNEL(name, parameters) void assay_##name##_avx512 parameters;
#include "kernels/kernels.inc"
#undef KERNEL
#endif

#endif
