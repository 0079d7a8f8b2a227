/* SPDX-License-Identifier: Apache-2.0 */
/* number.c: see number.h. The "C" locale of glibc is a constant: newlocale for
 * it allocates nothing and cannot fail, so asking for it every time is cheap. */
#include "base/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 400 }; /* digits; a double written out in full has fewer */

/* Digits, sign, point and exponent: strtod would take more (0x1p3, nan). */
static bool is_decimal(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (strchr("+-.0123456789eE", text[i]) == NULL || text[i] == '\0')
            return false;
    return length > 0 && length < LONGEST;
}

bool assay_number_read(const char *text, size_t length, double *value)
{
    if (!is_decimal(text, length))
        return false;
    char copy[LONGEST];
    memcpy(copy, text, length);
    copy[length] = '\0';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    char *end;
    double number = strtod_l(copy, &end, plain);
    freelocale(plain);
    if (end != copy + length || !isfinite(number))
        return false;
    *value = number;
    return true;
}

bool assay_number_whole(const char *text, size_t length, int64_t *value)
{
    char copy[24];
    if (length == 0 || length >= sizeof copy)
        return false;
    if (!is_decimal(text, length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *end;
    errno = 0;
    long long number = strtoll(copy, &end, 10);
    if (end != copy + length || errno != 0)
        return false;
    *value = number;
    return true;
}

void assay_number_write(char text[ASSAY_NUMBER_SIZE], double value)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(plain);
    snprintf(text, ASSAY_NUMBER_SIZE, "%.9g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, ASSAY_NUMBER_SIZE, "%.17g", value);
    uselocale(before);
    freelocale(plain);
}
