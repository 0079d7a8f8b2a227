/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_http.c: any bytes on a connection to a server that wants a key: none of its answers
 * is the server's fault, and it goes on answering others. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz_server.h"
#include "server/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MS = 3, ALIVE_MS = 20000, OTHERS = 64 };

/* sha256 of "key", which the seeds ask with */
#define KEYS "fuzz 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683 admin\n"

static assay_server server;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void start(void)
{
    char keys[] = "/tmp/fuzz-keys.XXXXXX";
    assay_error error;
    int file = mkstemp(keys), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || write(file, KEYS, sizeof KEYS - 1) != sizeof KEYS - 1)
        abort();
    fuzz_server_open(&server, keys);
    unlink(keys);
    close(file);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", fuzz_home);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0 ||
        assay_http_listen(&server, fd, &error) != ASSAY_OK)
        abort();
}

/* What comes back within so many milliseconds of silence. */
static size_t ask(const void *data, size_t size, int patience, char *answer, size_t room)
{
    size_t length = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    ssize_t got = send(fd, data, size, MSG_NOSIGNAL);
    struct pollfd look = {.fd = fd, .events = POLLIN};
    while (length < room - 1 && poll(&look, 1, patience) > 0 &&
           (got = recv(fd, answer + length, room - 1 - length, 0)) > 0)
        length += (size_t)got;
    answer[length] = '\0';
    close(fd);
    return length;
}

/* libmicrohttpd's own are those for methods and versions of HTTP that it does not know. */
static void check(const char *answer)
{
    long status = strncmp(answer, "HTTP/1.1 ", 9) == 0 ? strtol(answer + 9, NULL, 10) : 0;
    if (status >= 500 && status != 501 && status != 504 && status != 505)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answer[1 << 16];
    static unsigned count;
    static const char other[] = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    if (server.engine == NULL)
        start();
    ask(data, size, ANSWER_MS, answer, sizeof answer);
    check(answer);
    if (++count % OTHERS != 0)
        return 0;
    assay_http_sweep(&server);
    ask(other, sizeof other - 1, ALIVE_MS, answer, sizeof answer);
    if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
        __builtin_trap();
    return 0;
}
