/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_kernels.c: speed of every kernel in every instruction set this CPU has,
 * on one core, beside what the core can do: a loop of fused multiply-adds on
 * registers for arithmetic, a sum over a large array for memory.
 *
 *   bench_kernels [SET]        all sets, or one
 *   bench_kernels --accuracy   largest errors of exp, GELU and tanh
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

#include "kernels/kernels.h"

/* The best of many short samples counts: other work on the machine only ever
 * makes one slower. (A thread's own CPU time is not to be had exactly under a
 * hypervisor: it showed rates above the peak.) */
#define SAMPLE 0.005
#define SECONDS 0.3

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* -------------------------------------------------------------------- peak */

/* Chains enough to hide the latency of two multiply-add units, or, where there are
 * registers for them, of four. Each returns the operations it did. */
#ifdef __aarch64__
#define CHAINS 16
#define REGISTER "+w"
#else
#define CHAINS 10
#define REGISTER "+x"
#endif
#define UNROLL _Pragma("GCC unroll 16") /* or the chains are no registers */
#define TARGET(features) __attribute__((target(features), optimize("unroll-loops")))
#define PEAK_BODY(type, set, fma, element)                                  \
    type w = set((element)1.1f), s[CHAINS];                                 \
    __asm__("" : REGISTER(w)); /* not to be seen through */                 \
    UNROLL for (int i = 0; i < CHAINS; i++)                                 \
        s[i] = w;                                                           \
    for (long k = 0; k < rounds; k++) {                                     \
        UNROLL for (int i = 0; i < CHAINS; i++)                             \
            s[i] = fma(s[i], w, w);                                         \
        UNROLL for (int i = 0; i < CHAINS; i++)                             \
            __asm__ volatile("" : REGISTER(s[i]));                          \
    }                                                                       \
    return 2.0 * CHAINS * (double)rounds * (double)(sizeof(type) / sizeof(element))

#ifdef __x86_64__
TARGET("avx2,fma") static double peak_avx2(long rounds)
{
    PEAK_BODY(__m256, _mm256_set1_ps, _mm256_fmadd_ps, float);
}

TARGET("avx512f") static double peak_avx512(long rounds)
{
    PEAK_BODY(__m512, _mm512_set1_ps, _mm512_fmadd_ps, float);
}

/* Of bytes: the widened product and its sum, or one instruction. */
#define WIDENED_256(s, w, v) _mm256_add_epi32(v, _mm256_madd_epi16(s, w))
#define WIDENED_512(s, w, v) _mm512_add_epi32(v, _mm512_madd_epi16(s, w))

/* gcc 12 copies the sums of the intrinsics. */
TARGET("avx2") static __m256i dpbusd_256(__m256i s, __m256i w, __m256i v)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(s) : "x"(w), "x"(v));
    return s;
}

TARGET("avx512f") static __m512i dpbusd_512(__m512i s, __m512i w, __m512i v)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(w), "v"(v));
    return s;
}

/* As many operations as floats hold 16-bit halves. */
TARGET("avx512f,avx512bf16") static __m512i dpbf16_512(__m512i s, __m512i w, __m512i v)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(w), "v"(v));
    return s;
}

TARGET("avx512bw,avx512bf16") static double peak_bf16_avx512(long rounds)
{
    PEAK_BODY(__m512i, _mm512_set1_epi16, dpbf16_512, int16_t);
}

TARGET("avx2,fma") static double peak_i8_avx2(long rounds)
{
    PEAK_BODY(__m256i, _mm256_set1_epi16, WIDENED_256, int16_t);
}

TARGET("avxvnni") static double peak_i8_avxvnni(long rounds)
{
    PEAK_BODY(__m256i, _mm256_set1_epi8, dpbusd_256, int8_t);
}

TARGET("avx512bw") static double peak_i8_avx512(long rounds)
{
    PEAK_BODY(__m512i, _mm512_set1_epi16, WIDENED_512, int16_t);
}

TARGET("avx512bw,avx512vnni") static double peak_i8_avx512vnni(long rounds)
{
    PEAK_BODY(__m512i, _mm512_set1_epi8, dpbusd_512, int8_t);
}

/* Of tiles: four of sums hide the latency of the one unit there is. Sixteen rows
 * times sixteen columns, 64 bytes deep. */
#define PEAK_TILES(instruction, depth)                                                   \
    const struct {                                                                       \
        uint8_t palette, none[15];                                                       \
        uint16_t row_bytes[16];                                                          \
        uint8_t rows[16];                                                                \
    } tiles = {1, {0}, {64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16}};              \
    __asm__ volatile("ldtilecfg %0" : : "m"(tiles));                                     \
    for (long k = 0; k < rounds / 100; k++)                                              \
        __asm__ volatile(instruction " %%tmm5, %%tmm4, %%tmm0\n\t"                       \
                         instruction " %%tmm5, %%tmm4, %%tmm1\n\t"                       \
                         instruction " %%tmm5, %%tmm4, %%tmm2\n\t"                       \
                         instruction " %%tmm5, %%tmm4, %%tmm3" : :);                     \
    __asm__ volatile("tilerelease" : :);                                                 \
    return 4.0 * (double)(rounds / 100) * 2 * 16 * 16 * (depth)

TARGET("amx-tile,amx-int8") static double peak_i8_amx(long rounds)
{
    PEAK_TILES("tdpbusd", 64);
}

TARGET("amx-tile,amx-bf16") static double peak_bf16_amx(long rounds)
{
    PEAK_TILES("tdpbf16ps", 32);
}
#elif defined __aarch64__
static double peak_neon(long rounds)
{
    PEAK_BODY(float32x4_t, vdupq_n_f32, vfmaq_f32, float);
}

static int32x4_t set_bytes(int8_t x)
{
    return vreinterpretq_s32_s8(vdupq_n_s8(x));
}

/* Of bytes: two products and their sum, or one instruction. Not the intrinsics,
 * again for the copies that gcc 12 makes. */
static int32x4_t widened_neon(int32x4_t s, int32x4_t w, int32x4_t v)
{
    int16x8_t products;
    __asm__("smull %1.8h, %2.8b, %3.8b\n\tsmlal2 %1.8h, %2.16b, %3.16b\n\tsadalp %0.4s, %1.8h"
            : "+w"(s), "=&w"(products)
            : "w"(w), "w"(v));
    return s;
}

#define DOT_PRODUCT TARGET("arch=armv8.2-a+dotprod")

DOT_PRODUCT static int32x4_t dot_neon(int32x4_t s, int32x4_t w, int32x4_t v)
{
    return vdotq_s32(s, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(v));
}

static double peak_i8_neon(long rounds)
{
    PEAK_BODY(int32x4_t, set_bytes, widened_neon, int8_t);
}

DOT_PRODUCT static double peak_i8_neondot(long rounds)
{
    PEAK_BODY(int32x4_t, set_bytes, dot_neon, int8_t);
}
#endif

typedef double (*peak_fn)(long rounds);

typedef struct peak_loops {
    const char *set;
    peak_fn floats, bf16, bytes; /* bf16 where there is an instruction for it */
} peak_loops;

static const peak_loops peaks[] = {
#ifdef __x86_64__
    {"avx2", peak_avx2, NULL, peak_i8_avx2},
    {"avxvnni", peak_avx2, NULL, peak_i8_avxvnni},
    {"avx512", peak_avx512, NULL, peak_i8_avx512},
    {"avx512vnni", peak_avx512, NULL, peak_i8_avx512vnni},
    {"avx512bf16", peak_avx512, peak_bf16_avx512, peak_i8_avx512vnni},
    {"amx", peak_avx512, peak_bf16_amx, peak_i8_amx},
#elif defined __aarch64__
    {"neon", peak_neon, NULL, peak_i8_neon},
    {"neondot", peak_neon, NULL, peak_i8_neondot},
#endif
    {"scalar", NULL, NULL, NULL},
};

/* The loops of a set, the last ones' where this is not known. */
static const peak_loops *loops_of(const char *set)
{
    const peak_loops *p = peaks;
    while (p->floats != NULL && strcmp(p->set, set) != 0)
        p++;
    return p;
}

/* Operations a second of one core, 0 without a loop. */
static double rate_of(peak_fn loop)
{
    double best = 0;
    for (int i = 0; loop && i < 200; i++) {
        double start = seconds();
        double done = loop(500000);
        best = fmax(best, done / (seconds() - start));
    }
    return best;
}

/* ----------------------------------------------------------------- measure */

typedef struct work {
    const assay_kernels *kernels;
    float *a, *b, *c;
    uint16_t *half;
    int8_t *bytes;
    int8_t *packed; /* panels of bytes or pairs */
    int16_t *pairs; /* quantised rows */
    size_t rows, columns, depth;
    const assay_i8_inputs *inputs;
    const assay_epilogue *epilogue;
} work;

typedef void (*step_fn)(const work *w);

/* Seconds of one step, in the best sample. */
static double seconds_of(step_fn step, const work *w)
{
    double best = INFINITY;
    double end = seconds() + SECONDS, now;
    do {
        double start = seconds();
        int count = 0;
        do {
            step(w);
            count++;
            now = seconds();
        } while (now - start < SAMPLE);
        best = fmin(best, (now - start) / count);
    } while (now < end);
    return best;
}

static void step_gemm(const work *w)
{
    w->kernels->gemm_f32(w->a, w->depth, w->rows, w->b, w->columns, w->depth, w->epilogue, w->c,
                         w->columns);
}

static void step_gemm_bf16(const work *w)
{
    w->kernels->gemm_bf16((const uint16_t *)w->pairs, w->rows,
                          (const uint16_t *)(const void *)w->packed, w->columns, w->depth,
                          w->epilogue, w->c, w->columns);
}

static void step_round_bf16(const work *w)
{
    w->kernels->round_bf16(w->a, w->depth, w->rows, w->depth, (uint16_t *)w->pairs);
}

static void step_pack_bf16(const work *w)
{
    w->kernels->pack_bf16(w->a, w->depth, w->columns, w->depth, (uint16_t *)(void *)w->packed);
}

/* One input in sixteen has two bytes, as many as a model's have; such bytes are
 * work beyond what the rate counts. */
static const assay_i8_inputs *inputs_of(size_t depth)
{
    static float bytes[4096], shares[4096], order[4096 / 16];
    static uint16_t owner[4096 / 16];
    static assay_i8_inputs inputs;
    inputs = (assay_i8_inputs){depth, depth / 16, owner, order, bytes, shares};
    for (size_t i = 0; i < depth; i++) {
        bytes[i] = i < depth / 16 ? 2 : 1;
        shares[i] = 1 / bytes[i];
    }
    for (size_t i = 0; i < depth / 16; i++) {
        owner[i] = (uint16_t)i;
        order[i] = 1;
    }
    return &inputs;
}

static void step_gemm_i8(const work *w)
{
    w->kernels->gemm_i8(w->pairs, (const assay_i8_row *)(const void *)w->b, w->rows, w->packed,
                        w->b, w->columns, w->inputs, w->epilogue, w->c, w->columns);
}

static void step_gemm_i16(const work *w)
{
    w->kernels->gemm_i16(w->pairs, w->depth, w->rows, (const int16_t *)(const void *)w->packed,
                         w->columns, w->depth, 0.1f, w->c, w->columns);
}

static void step_quantize_i8(const work *w)
{
    w->kernels->quantize_i8(w->a, w->depth, w->rows, w->inputs, w->pairs,
                            (assay_i8_row *)(void *)w->c);
}

static void step_softmax_i16(const work *w)
{
    memcpy(w->c, w->a, w->rows * w->depth * sizeof(float)); /* floats' bits are numbers too */
    w->kernels->softmax_i16(w->c, w->depth, w->rows, w->depth, 1e-8f, w->pairs, w->depth);
}

static void step_pack(const work *w)
{
    w->kernels->pack_f32(w->a, w->depth, w->columns, w->depth, w->c);
}

static void step_layer_norm(const work *w)
{
    w->kernels->layer_norm_f32(w->a, w->depth, w->rows, w->depth, w->b, w->b, 1e-12f, w->c,
                               w->depth);
}

static void step_softmax(const work *w)
{
    memcpy(w->c, w->a, w->rows * w->depth * sizeof(float));
    w->kernels->softmax_f32(w->c, w->depth, w->rows, w->depth, 0.18f);
}

static void step_dots(const work *w)
{
    w->kernels->dots_f32(w->b, w->a, w->rows, w->depth, w->c);
}

static void step_f16(const work *w)
{
    w->kernels->f16_to_f32(w->half, w->depth, w->c);
}

static void step_bf16(const work *w)
{
    w->kernels->bf16_to_f32(w->half, w->depth, w->c);
}

static void step_i8(const work *w)
{
    w->kernels->i8_to_f32(w->bytes, w->depth, 0.1f, w->c);
}

typedef struct shape {
    size_t rows, columns, depth;
    bool gelu;
} shape;

/* Those of a layer, 384 wide; those of attention, heads 32 wide. */
static const shape layer_shapes[] = {
    {1, 384, 384, false},    {16, 384, 384, false},   {128, 384, 384, false},
    {512, 384, 384, false},  {128, 1152, 384, false}, {512, 1152, 384, false},
    {128, 1536, 384, false}, {512, 1536, 384, false}, {512, 1536, 384, true},
    {128, 384, 1536, false}, {512, 384, 1536, false}, {512, 4096, 1024, false},
};
static const shape head_shapes[] = {
    {64, 64, 32, false}, {128, 128, 32, false}, {512, 512, 32, false},
    {64, 32, 64, false}, {128, 32, 128, false}, {512, 32, 512, false},
};

#define SHAPES(list) list, sizeof list / sizeof *list

static void bench_gemm(work w, const char *name, step_fn step, const shape *shapes, size_t count,
                       double peak)
{
    static const assay_epilogue gelu = {.activation = ASSAY_ACTIVATION_GELU};
    for (size_t i = 0; i < count; i++) {
        w.rows = shapes[i].rows;
        w.columns = shapes[i].columns;
        w.depth = shapes[i].depth;
        w.epilogue = shapes[i].gelu ? &gelu : NULL;
        w.inputs = inputs_of(w.depth);
        double rate = 2e-9 * (double)w.rows * (double)w.columns * (double)w.depth /
                      seconds_of(step, &w);
        printf("%-10s %-9s %4zu x %4zu x %4zu %-5s %8.1f GOP/s", w.kernels->name, name, w.rows,
               w.columns, w.depth, w.epilogue ? "+gelu" : "", rate);
        printf(peak > 0 ? " %5.1f%% of peak\n" : "\n", 1e11 * rate / peak);
    }
}

static void bench_bytes(work w, const char *name, step_fn step, size_t rows, size_t depth,
                        double bytes)
{
    w.rows = w.columns = rows;
    w.depth = depth;
    printf("%-10s %-14s %7zu x %7zu %10.2f GB/s\n", w.kernels->name, name, rows, depth,
           1e-9 * bytes * (double)rows * (double)depth / seconds_of(step, &w));
}

static void bench_set(work w)
{
    const peak_loops *p = loops_of(w.kernels->name);
    double floats = rate_of(p->floats), bf16 = rate_of(p->bf16), bytes = rate_of(p->bytes);
    if (floats > 0)
        printf("%-10s peak %.1f GFLOP/s", w.kernels->name, 1e-9 * floats);
    if (bf16 > 0)
        printf(", of bfloat16 %.1f GFLOP/s", 1e-9 * bf16);
    if (bytes > 0)
        printf(", of bytes %.1f GOP/s\n", 1e-9 * bytes);
    bench_gemm(w, "gemm_f32", step_gemm, SHAPES(layer_shapes), floats);
    bench_gemm(w, "gemm_f32", step_gemm, SHAPES(head_shapes), floats);
    bench_gemm(w, "gemm_bf16", step_gemm_bf16, SHAPES(layer_shapes), bf16);
    bench_gemm(w, "gemm_i8", step_gemm_i8, SHAPES(layer_shapes), bytes);
    bench_gemm(w, "gemm_i16", step_gemm_i16, SHAPES(head_shapes), 0);
    w.inputs = inputs_of(384);
    bench_bytes(w, "quantize_i8", step_quantize_i8, 128, 384, 5);
    bench_bytes(w, "softmax_i16", step_softmax_i16, 128, 128, 6);
    bench_bytes(w, "round_bf16", step_round_bf16, 128, 384, 6);
    bench_bytes(w, "pack_bf16", step_pack_bf16, 384, 1536, 6);
    bench_bytes(w, "pack_f32", step_pack, 384, 1536, 8);
    bench_bytes(w, "layer_norm_f32", step_layer_norm, 128, 384, 8);
    bench_bytes(w, "softmax_f32", step_softmax, 128, 128, 8);
    bench_bytes(w, "dots_f32", step_dots, 100, 384, 4);
    bench_bytes(w, "dots_f32", step_dots, 50000, 384, 4);
    bench_bytes(w, "f16_to_f32", step_f16, 1, 16384, 6);
    bench_bytes(w, "bf16_to_f32", step_bf16, 1, 16384, 6);
    bench_bytes(w, "i8_to_f32", step_i8, 1, 16384, 5);
}

static volatile float sink;

static void step_read(const work *w)
{
    uint64_t sum = 0;
    const uint64_t *words = (const uint64_t *)(const void *)w->a;
    for (size_t i = 0; i < w->rows * w->depth / 2; i += 8)
        sum += words[i] + words[i + 4];
    sink = (float)sum;
}

/* ---------------------------------------------------------------- accuracy */

typedef struct error_bound {
    double ulp, ulp_at, absolute, absolute_at;
} error_bound;

static void note(error_bound *bound, double x, float got, double exact)
{
    double absolute = fabs((double)got - exact);
    int exponent;
    frexp(exact, &exponent);
    double ulp = absolute / ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
    if (ulp > bound->ulp) {
        bound->ulp = ulp;
        bound->ulp_at = x;
    }
    if (absolute > bound->absolute) {
        bound->absolute = absolute;
        bound->absolute_at = x;
    }
}

#define BATCH 4096

/* y = activation(x) through a product with the matrix {1}. */
static void apply(const assay_kernels *k, assay_activation activation, const float *x, float *y)
{
    float one[ASSAY_PANEL] = {1};
    assay_epilogue epilogue = {.activation = activation};
    k->gemm_f32(x, 1, BATCH, one, 1, 1, &epilogue, y, 1);
}

/* exp(x) as softmax makes it: of the row (0, x) both before normalisation
 * are 1 and e, so y1 / y0 is e but for two roundings. */
static void apply_exp(const assay_kernels *k, const float *x, float *y)
{
    static float rows[BATCH][2];
    for (size_t i = 0; i < BATCH; i++) {
        rows[i][0] = 0;
        rows[i][1] = x[i];
    }
    k->softmax_f32(rows[0], 2, BATCH, 2, 1.0f);
    for (size_t i = 0; i < BATCH; i++)
        y[i] = rows[i][1] / rows[i][0];
}

static double exact_gelu(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

/* Every float of both signs up to `limit`, `step` apart in their bits. */
static void accuracy_of(const assay_kernels *k, int which, float limit, uint32_t step)
{
    static const char *const names[] = {"gelu", "tanh", "exp (two roundings more)"};
    static float x[BATCH], y[BATCH];
    error_bound bound = {0};
    uint32_t end;
    memcpy(&end, &limit, sizeof end);
    size_t count = 0;
    for (uint64_t i = 0; i <= 2 * (uint64_t)end; i += step) {
        uint32_t bits = (uint32_t)(i / 2) | (uint32_t)(i & 1) << 31;
        if (which == 2)
            bits |= 0x80000000u;
        memcpy(&x[count++], &bits, sizeof bits);
        if (count < BATCH)
            continue;
        count = 0;
        if (which == 2)
            apply_exp(k, x, y);
        else
            apply(k, which ? ASSAY_ACTIVATION_TANH : ASSAY_ACTIVATION_GELU, x, y);
        for (size_t j = 0; j < BATCH; j++) {
            double at = x[j];
            note(&bound, at, y[j], which == 0 ? exact_gelu(at) : which == 1 ? tanh(at) : exp(at));
        }
    }
    printf("%-25s %10.3g absolute at %-12.6g", names[which], bound.absolute, bound.absolute_at);
    if (which != 0) /* GELU's tail towards -infinity is small, and only that */
        printf(" %10.3g ulp at %.6g", bound.ulp, bound.ulp_at);
    printf("\n");
}

static int accuracy(uint32_t step)
{
    const assay_kernels *k = assay_kernels_active();
    printf("%s, every %u. float\n", k->name, step);
    accuracy_of(k, 0, 20.0f, step);
    accuracy_of(k, 1, 12.0f, step);
    accuracy_of(k, 2, 87.336f, step);
    return 0;
}

/* Zeros, aligned as the engine's memory is. */
static void *aligned(size_t bytes)
{
    size_t whole = (bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, whole);
    return memory ? memset(memory, 0, whole) : NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--accuracy") == 0)
        return accuracy(argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 61);
    const size_t large = 50000 * 384;
    work w = {.a = aligned(large * sizeof(float)),
              .b = aligned(4096 * 1024 * sizeof(float)),
              .c = aligned(4096 * 1024 * sizeof(float)),
              .half = aligned(16384 * sizeof(uint16_t)),
              .bytes = aligned(16384),
              .packed = aligned(2 * assay_bf16_panels_size(4096, 1100)),
              .pairs = aligned(512 * 4400 * sizeof(int16_t))};
    if (!w.a || !w.b || !w.c || !w.half || !w.bytes || !w.packed || !w.pairs)
        return 1;
    for (size_t i = 0; i < large; i++)
        w.a[i] = (float)(i % 1999) / 1000.0f - 1.0f;
    for (size_t i = 0; i < 4096 * 1024; i++)
        w.b[i] = (float)(i % 997) / 500.0f - 1.0f;
    for (size_t i = 0; i < 16384; i++) {
        w.half[i] = (uint16_t)(i % 30000);
        w.bytes[i] = (int8_t)(i % 255);
    }
    w.rows = 50000;
    w.depth = 384;
    printf("memory   read %.2f GB/s\n", 1e-9 * (double)large * 4 / seconds_of(step_read, &w));
    int usable;
    for (size_t i = 0; (w.kernels = assay_kernels_at(i, &usable)) != NULL; i++)
        if (usable && (argc < 2 || strcmp(argv[1], w.kernels->name) == 0))
            bench_set(w);
    free(w.a);
    free(w.b);
    free(w.c);
    free(w.half);
    free(w.bytes);
    free(w.packed);
    free(w.pairs);
    return 0;
}
