/* SPDX-License-Identifier: Apache-2.0 */
/* assert_ok.h: calls that must succeed, and fail a test in the library's own words. */
#ifndef ASSAY_ASSERT_OK_H
#define ASSAY_ASSERT_OK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "assay.h"

static assay_error error; /* for every call of the test */

#define assert_ok(expression)                                                             \
    do {                                                                                  \
        assay_status status_ = (expression);                                              \
        if (status_ != ASSAY_OK)                                                          \
            fail_msg("%s: %s: %s: %s", #expression, assay_status_name(status_), error.where, \
                     error.message);                                                      \
    } while (0)

#endif
