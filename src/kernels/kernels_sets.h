/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_sets.h: declares assay_<kernel>_<set>, for the sets' own files and for
 * dispatch.c. Which of them exist is told by the table there. */
#ifndef ASSAY_KERNELS_SETS_H
#define ASSAY_KERNELS_SETS_H

#include "kernels/kernels.h"

#define DECLARE_KERNEL(set, name, parameters) void assay_##name##_##set parameters;
#define DECLARE_SET(set)                     \
    ASSAY_FLOAT_KERNELS(DECLARE_KERNEL, set) \
    ASSAY_BF16_KERNELS(DECLARE_KERNEL, set)  \
    ASSAY_I8_KERNELS(DECLARE_KERNEL, set)    \
    ASSAY_I16_KERNELS(DECLARE_KERNEL, set)

DECLARE_SET(scalar)
DECLARE_SET(avx2)
DECLARE_SET(avxvnni)
DECLARE_SET(avx512)
DECLARE_SET(avx512vnni)
DECLARE_SET(avx512bf16)
DECLARE_SET(neon)
DECLARE_SET(neondot)

/* AMX has products of its own; rows and panels are those of these sets. */
#define assay_round_bf16_amx assay_round_bf16_avx512bf16
#define assay_pack_bf16_amx assay_pack_bf16_avx512bf16
#define assay_pack_transposed_bf16_amx assay_pack_transposed_bf16_avx512bf16
#define assay_quantize_i8_amx assay_quantize_i8_avx512vnni
#define assay_pack_i8_amx assay_pack_i8_avx512vnni
#define assay_dots_at_i8_amx assay_dots_at_i8_avx512vnni
#define assay_dots_at_bits_amx assay_dots_at_bits_avx512vnni
#define assay_maxsim_centres_amx assay_maxsim_centres_avx512vnni

DECLARE_SET(amx)

#endif
