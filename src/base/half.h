/* SPDX-License-Identifier: Apache-2.0 */
/* half.h: float16 (IEEE binary16) of a float. */
#ifndef ASSAY_HALF_H
#define ASSAY_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ASSAY_HALF_LIMIT 65504.0f /* the largest there is */

/* Rounded to the nearest, halves to even; |value| <= ASSAY_HALF_LIMIT. */
static inline uint16_t assay_half_of(float value)
{
    uint32_t bits;
    float magnitude = fabsf(value);
    if (magnitude < 6.103515625e-5f) { /* below the normal ones: one unit is 2^-24, */
        magnitude += 0.5f;             /* that of a float from 0.5 on */
        memcpy(&bits, &magnitude, sizeof bits);
        bits -= 0x3F000000u;
    } else {
        memcpy(&bits, &magnitude, sizeof bits);
        bits = (bits - 0x38000000u + 0xFFFu + (bits >> 13 & 1)) >> 13;
    }
    return (uint16_t)(bits | (signbit(value) ? 0x8000u : 0u));
}

#endif
