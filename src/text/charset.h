/* SPDX-License-Identifier: Apache-2.0 */
/* charset.h: the bytes of a text file made UTF-8, or refused with the reason. */
#ifndef ASSAY_CHARSET_H
#define ASSAY_CHARSET_H

#include "base/buffer.h"

/* Makes buffer->data valid UTF-8 without NUL; *skip is the length of a UTF-8
 * byte-order mark at its beginning. UTF-16 and UTF-32 with a byte-order mark
 * are converted. `declared` is what the file itself says its charset is, or
 * NULL; text that is UTF-8 beyond ASCII is taken as such whatever it says.
 * FORMAT names the byte, its offset and line; UNSUPPORTED an unknown charset. */
assay_status assay_charset_decode(assay_buffer *buffer, const char *declared, const char *path,
                                  size_t *skip, assay_error *error);

/* Whether data[length] is valid UTF-8; *bad is the offset of the first byte
 * that is not. *ascii tells that it is ASCII alone. */
bool assay_utf8_valid(const char *data, size_t length, size_t *bad, bool *ascii);

#endif
