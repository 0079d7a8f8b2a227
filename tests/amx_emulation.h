/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_emulation.h: runs AMX code on processors without it. An instruction that
 * the processor does not know raises SIGILL; the handler here decodes it, does
 * what Intel's manual (Software Developer's Manual, volume 2) says, with the
 * manual's faults as failures, and goes on behind it. A tile instruction takes a
 * microsecond or two that way.
 *
 * Knows what src/kernels/kernels_amx.c uses: ldtilecfg, tilerelease, tileloadd,
 * tilestored, tilezero, tdpbusd, tdpbssd and tdpbf16ps.
 */
#ifndef ASSAY_AMX_EMULATION_H
#define ASSAY_AMX_EMULATION_H

#include <stdbool.h>

#ifdef __x86_64__

#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static struct amx_state {
    bool configured;
    uint16_t row_bytes[8];
    uint8_t rows[8];
    uint8_t tiles[8][16][64];
} amx;

static void amx_fail(const char *why)
{
    if (write(2, why, strlen(why)) > 0)
        (void)!write(2, "\n", 1);
    _exit(1);
}

static void amx_configure(const uint8_t *config)
{
    memset(&amx, 0, sizeof amx);
    amx.configured = config[0] == 1;
    for (size_t i = 1; i < 16; i++) /* no start row; the rest is reserved */
        if (config[0] > 1 || config[i] != 0)
            amx_fail("ldtilecfg: palette or reserved bytes");
    for (size_t t = 0; amx.configured && t < 16; t++) {
        uint16_t bytes;
        memcpy(&bytes, config + 16 + 2 * t, sizeof bytes);
        uint8_t rows = config[48 + t];
        if (bytes > 64 || rows > 16 || (bytes == 0) != (rows == 0) || (t > 7 && rows > 0))
            amx_fail("ldtilecfg: size of a tile");
        if (t < 8) {
            amx.row_bytes[t] = bytes;
            amx.rows[t] = rows;
        }
    }
}

static void amx_check(unsigned tile)
{
    if (!amx.configured || tile > 7 || amx.rows[tile] == 0 || amx.row_bytes[tile] % 4 != 0)
        amx_fail("a tile that is not configured");
}

static void amx_load(unsigned tile, const uint8_t *from, int64_t stride)
{
    memset(amx.tiles[tile], 0, sizeof amx.tiles[tile]);
    for (int64_t row = 0; row < amx.rows[tile]; row++)
        memcpy(amx.tiles[tile][row], from + row * stride, amx.row_bytes[tile]);
}

static void amx_store(unsigned tile, uint8_t *to, int64_t stride)
{
    for (int64_t row = 0; row < amx.rows[tile]; row++)
        memcpy(to + row * stride, amx.tiles[tile][row], amx.row_bytes[tile]);
}

static float amx_flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static float amx_float(const uint8_t *bf16)
{
    uint32_t bits = (uint32_t)bf16[0] << 16 | (uint32_t)bf16[1] << 24;
    float x;
    memcpy(&x, &bits, sizeof x);
    return amx_flushed(x);
}

/* One element of the sums: row m of `a`, column n of `b`, in groups of 4 bytes. */
static void amx_dot_bytes(const uint8_t *a, unsigned b, unsigned n, uint8_t *sum)
{
    uint32_t x;
    memcpy(&x, sum, sizeof x);
    for (size_t k = 0; k < amx.rows[b]; k++)
        for (size_t e = 0; e < 4; e++)
            x += (uint32_t)(a[4 * k + e] * (int8_t)amx.tiles[b][k][4 * n + e]);
    memcpy(sum, &x, sizeof x);
}

static void amx_dot_signed(const uint8_t *a, unsigned b, unsigned n, uint8_t *sum)
{
    uint32_t x;
    memcpy(&x, sum, sizeof x);
    for (size_t k = 0; k < amx.rows[b]; k++)
        for (size_t e = 0; e < 4; e++)
            x += (uint32_t)((int8_t)a[4 * k + e] * (int8_t)amx.tiles[b][k][4 * n + e]);
    memcpy(sum, &x, sizeof x);
}

static void amx_dot_bf16(const uint8_t *a, unsigned b, unsigned n, uint8_t *sum)
{
    float x, even = 0, odd = 0;
    memcpy(&x, sum, sizeof x);
    for (size_t k = 0; k < amx.rows[b]; k++) {
        const uint8_t *pair = &amx.tiles[b][k][4 * n];
        even = amx_flushed(fmaf(amx_float(a + 4 * k), amx_float(pair), even));
        odd = amx_flushed(fmaf(amx_float(a + 4 * k + 2), amx_float(pair + 2), odd));
    }
    x = amx_flushed(amx_flushed(x) + amx_flushed(even + odd));
    memcpy(sum, &x, sizeof x);
}

typedef void (*amx_dot_fn)(const uint8_t *a, unsigned b, unsigned n, uint8_t *sum);

static void amx_dot(amx_dot_fn dot, unsigned sums, unsigned a, unsigned b)
{
    if (sums == a || sums == b || a == b || amx.rows[sums] != amx.rows[a] ||
        amx.row_bytes[sums] != amx.row_bytes[b] || amx.row_bytes[a] != 4 * amx.rows[b])
        amx_fail("tiles that do not fit together");
    for (size_t m = 0; m < amx.rows[sums]; m++)
        for (unsigned n = 0; n < amx.row_bytes[sums] / 4u; n++)
            dot(amx.tiles[a][m], b, n, &amx.tiles[sums][m][4 * n]);
}

/* Register number i of an instruction, in the order of machine code. */
static int64_t amx_register(const ucontext_t *context, unsigned i)
{
    static const int places[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[places[i]];
}

/* The address that the operand names, without its index, which is the stride;
 * *length: the operand's bytes. */
static uint8_t *amx_address(const ucontext_t *context, const uint8_t *vex, int64_t *stride,
                            size_t *length)
{
    const uint8_t *modrm = vex + 4;
    unsigned mode = *modrm >> 6, base = *modrm & 7;
    *length = 1;
    *stride = 0;
    if (base == 4) {
        unsigned index = (modrm[1] >> 3 & 7) | (vex[1] & 0x40 ? 0 : 8);
        base = modrm[1] & 7;
        if (index != 4)
            *stride = (int64_t)((uint64_t)amx_register(context, index) << (modrm[1] >> 6));
        *length = 2;
    }
    if (mode == 0 && base == 5)
        amx_fail("an address without a register");
    int64_t address = amx_register(context, base | (vex[1] & 0x20 ? 0 : 8));
    int8_t near;
    int32_t far;
    memcpy(&near, modrm + *length, sizeof near);
    memcpy(&far, modrm + *length, sizeof far);
    address += mode == 1 ? near : mode == 2 ? far : 0;
    *length += mode == 1 ? 1 : mode == 2 ? 4 : 0;
    return (uint8_t *)address;
}

/* Does the instruction at `vex` and returns its length; 0: it is another one. */
static size_t amx_execute(const ucontext_t *context, const uint8_t *vex)
{
    unsigned prefix = vex[2] & 3, opcode = vex[3], modrm = vex[4];
    unsigned first = modrm >> 3 & 7, second = modrm & 7, third = ~(unsigned)vex[2] >> 3 & 15;
    bool memory = modrm < 0xc0;
    if (vex[0] != 0xc4 || (vex[1] & 0x1f) != 2 || vex[2] & 0x84) /* three bytes, 0F38, W0, 128 */
        return 0;
    size_t length = 1;
    int64_t stride = 0;
    uint8_t *address = memory ? amx_address(context, vex, &stride, &length) : NULL;
    if (opcode == 0x49 && prefix == 0 && memory)
        amx_configure(address);
    else if (opcode == 0x49 && prefix == 0 && modrm == 0xc0)
        memset(&amx, 0, sizeof amx);
    else if (opcode == 0x4b && memory && second == 4 && (prefix == 3 || prefix == 2)) {
        amx_check(first);
        if (prefix == 3)
            amx_load(first, address, stride);
        else
            amx_store(first, address, stride);
    } else if (opcode == 0x49 && prefix == 3 && !memory && second == 0) {
        amx_check(first);
        memset(amx.tiles[first], 0, sizeof amx.tiles[first]);
    } else if (!memory && ((opcode == 0x5e && prefix & 1) || (opcode == 0x5c && prefix == 2))) {
        amx_check(first), amx_check(second), amx_check(third);
        amx_dot(opcode == 0x5c ? amx_dot_bf16 : prefix == 1 ? amx_dot_bytes : amx_dot_signed,
                first, second, third);
    } else
        return 0;
    return 4 + length;
}

static void amx_handler(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    size_t length = amx_execute(c, (const uint8_t *)c->uc_mcontext.gregs[REG_RIP]);
    (void)info;
    if (length == 0)
        signal(signal_number, SIG_DFL); /* the instruction raises it again */
    c->uc_mcontext.gregs[REG_RIP] += (greg_t)length;
}

/* From now on AMX code runs, on a processor with AVX-512 at least. */
static void amx_emulate(void)
{
    struct sigaction action = {.sa_sigaction = amx_handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}

#endif
#endif
