/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_serve_config.c: the file of `assay serve --config`, whose values go through the
 * parser of the command line. What is right adds a key to /dev/null instead of serving. */
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* main.c's, which is not here. */
const assay_verb *const assay_verbs[] = {&assay_verb_serve};
const size_t assay_verb_count = 1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    stdout = stderr = fopen("/dev/null", "w"); /* libFuzzer has its own, and writes much less */
    return 0;
}

static void give(const char *name, const char *word, void *settings)
{
    if (!assay_options_given(&assay_verb_serve, name, word, settings))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    alignas(max_align_t) char settings[ASSAY_SETTINGS_MAX] = {0};
    char path[64];
    int file = memfd_create("config", MFD_CLOEXEC);
    if (file < 0 || write(file, data, size) != (ssize_t)size)
        __builtin_trap();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    give("config", path, settings);
    give("keys", "/dev/null", settings);
    give("add-key", "fuzz", settings);
    int code = assay_verb_serve.run(settings, NULL, 0);
    if (code != ASSAY_EXIT_OK && code != ASSAY_EXIT_USAGE)
        __builtin_trap();
    close(file);
    return 0;
}
