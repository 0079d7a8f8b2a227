/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.h: decimal numbers as files write them, whatever locale the program
 * that uses the library has set.
 */
#ifndef ASSAY_NUMBER_H
#define ASSAY_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole of text[length] as a finite decimal number ("-1.5e-3"). False for
 * anything else: empty, spaces, hexadecimal, NaN, infinity, overflow. */
bool assay_number_read(const char *text, size_t length, double *value);

/* The whole of text[length] as a decimal whole number that fits. */
bool assay_number_whole(const char *text, size_t length, int64_t *value);

#define ASSAY_NUMBER_SIZE 32

/* The shorter of 9 and 17 digits that reads back as the same double. */
void assay_number_write(char text[ASSAY_NUMBER_SIZE], double value);

#endif
