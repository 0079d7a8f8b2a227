/* SPDX-License-Identifier: Apache-2.0 */
/*
 * microhttp.h: GNU libmicrohttpd, loaded when a server starts.
 *
 * Linked, it would bring GnuTLS and eight more libraries into every `assay rerank`.
 * Calls read assay_http.MHD_start_daemon(...).
 */
#ifndef ASSAY_SERVER_MICROHTTP_H
#define ASSAY_SERVER_MICROHTTP_H

#include <assay.h>
#include <microhttpd.h>

#define ASSAY_HTTP_FUNCTIONS(F)                                                                \
    F(MHD_start_daemon)                                                                        \
    F(MHD_add_connection)                                                                      \
    F(MHD_get_daemon_info)                                                                     \
    F(MHD_stop_daemon)                                                                         \
    F(MHD_get_connection_info)                                                                 \
    F(MHD_lookup_connection_value)                                                             \
    F(MHD_queue_response)                                                                      \
    F(MHD_create_response_from_buffer)                                                         \
    F(MHD_add_response_header)                                                                 \
    F(MHD_destroy_response)                                                                    \
    F(MHD_suspend_connection)                                                                  \
    F(MHD_resume_connection)                                                                   \
    F(MHD_is_feature_supported)                                                                \
    F(MHD_set_connection_option)

#define ASSAY_HTTP_FIELD(name) __typeof__(name) *name;
typedef struct assay_http_library {
    ASSAY_HTTP_FUNCTIONS(ASSAY_HTTP_FIELD)
} assay_http_library;
#undef ASSAY_HTTP_FIELD

extern assay_http_library assay_http;

/* UNSUPPORTED when the library is not there, with the package that brings it. */
assay_status assay_http_load(assay_error *error);

#endif
