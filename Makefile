# SPDX-License-Identifier: Apache-2.0
#
#   make            library, shared library and command, in build/
#   make test       everything: unit, command line, parity; under 10 minutes
#   make demo       install what is missing, build, index a corpus, ask it
#   make install    DESTDIR= and PREFIX= as usual
#   make deb        a Debian package of the command, in build/deb/
#   make check-san  the tests under ASan and UBSan (SUITE=unit: unit tests only);
#                   check-tsan under TSan, unit tests and those of the server
#   make check-arm  the kernels' and models' tests, built for aarch64, under qemu
#   make fuzz       coverage-guided fuzzing, FUZZ_SECONDS each (clang)
#   make bench      speed against the hardware, with DATA= and $PYTHON peers (bench/run)

BUILD  ?= build
PREFIX ?= /usr/local
OBJCOPY ?= objcopy
VERSION := $(shell sed -n 's/^.define ASSAY_VERSION "\(.*\)"/\1/p' include/assay.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

# ---- Libraries -------------------------------------------------------------
PKGS := jansson sqlite3 libutf8proc libcrypto libxxhash gumbo
# Loaded when they are first needed (src/base/library.h).
LATE := libcurl libmicrohttpd
HAVE :=
LEAVE :=
ifeq ($(shell pkg-config --exists poppler-glib && echo yes),yes)
LATE += poppler-glib
HAVE += -DASSAY_HAVE_POPPLER
endif
ifeq ($(shell pkg-config --exists libpq && echo yes),yes)
LATE += libpq
HAVE += -DASSAY_HAVE_LIBPQ
else
LEAVE := $(wildcard src/store/postgres*.c)
endif

# ---- Flags -----------------------------------------------------------------
# -ffp-contract=off: the order of every floating-point operation is what the
# source says, so that all instruction sets give the same bits.
OPTIMISE ?= -O2
HARDEN   ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wvla -Wundef
CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE $(HAVE) -DASSAY_PREFIX='"$(PREFIX)"' \
            $(shell pkg-config --cflags-only-I $(PKGS) $(LATE) | sed 's/-I/-isystem /g')
CFLAGS   += -std=c11 -g $(OPTIMISE) $(WARN) -fPIC -fvisibility=hidden -ffp-contract=off \
            -fno-math-errno $(HARDEN) $(SANITIZE)
LDFLAGS  += $(SANITIZE) -pthread
LDLIBS   := $(shell pkg-config --libs $(PKGS)) -ldl -lm

SETS_x86_64  := avx2 avxvnni avx512 avx512vnni avx512bf16 amx
SETS_aarch64 := neon neondot
ALL_SETS     := $(SETS_x86_64) $(SETS_aarch64)
KERNEL_SETS  := $(SETS_$(shell $(CC) -dumpmachine | cut -d- -f1))
KERNEL_SKIP  := $(filter-out $(KERNEL_SETS),$(ALL_SETS))
FLAGS_avx2       := -mavx2 -mfma -mf16c
FLAGS_avxvnni    := $(FLAGS_avx2) -mavxvnni
FLAGS_avx512     := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mprefer-vector-width=512
FLAGS_avx512vnni := $(FLAGS_avx512) -mavx512vnni
FLAGS_avx512bf16 := $(FLAGS_avx512) -mavx512bf16
FLAGS_amx        := $(FLAGS_avx512) -mamx-tile -mamx-int8 -mamx-bf16
# gcc, asked to order instructions before it gives out registers, runs out of them.
FLAGS_neon       := -fno-schedule-insns -Wno-ignored-optimization-argument
FLAGS_neondot    := $(FLAGS_neon) -march=armv8.2-a+dotprod

# ---- Files -----------------------------------------------------------------
ALL := $(filter-out $(LEAVE) $(KERNEL_SKIP:%=src/kernels/kernels_%.c),$(wildcard src/*/*.c))
LIB := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(filter-out src/cli/% src/server/%,$(ALL)))
SERVER := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(filter src/server/%,$(ALL)))
CLI := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(filter src/cli/%,$(ALL)))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))

.PHONY: all lib test unit demo install deb check-floors check-san check-tsan check-arm fuzz bench clean
.SECONDARY:
all: $(BUILD)/assay $(BUILD)/libassay.a $(BUILD)/libassay.so $(BUILD)/assay.pc
lib: $(BUILD)/internal.a

$(foreach set,$(ALL_SETS),$(eval $(BUILD)/obj/kernels/kernels_$(set).o: CFLAGS += $(FLAGS_$(set))))

# Loops over rows of floats, written so that any vectors may do them.
ifeq ($(OPTIMISE),-O2)
$(BUILD)/obj/learn/gradient_steps.o $(BUILD)/obj/learn/optimizer.o: CFLAGS += -O3
endif

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/server/page.o: $(wildcard web/*)

# The plain objects, for tests, fuzzers and benches: they see internal symbols.
INTERNAL := $(LIB) $(SERVER) $(filter-out %/main.o,$(CLI))
$(BUILD)/internal.a: $(INTERNAL)
	@rm -f $@
	$(AR) rcs $@ $(INTERNAL)

# One relocatable object whose internal symbols are local: the static library
# exports what assay.h declares, as the shared one does.
$(BUILD)/libassay.a: $(LIB)
	@rm -f $@
	$(LD) -r -o $(BUILD)/libassay.o $(LIB)
	$(OBJCOPY) --localize-hidden $(BUILD)/libassay.o
	$(AR) rcs $@ $(BUILD)/libassay.o

$(BUILD)/libassay.so: $(LIB)
	$(CC) -shared -Wl,-soname,libassay.so.$(SOVERSION) -Wl,-z,defs -o $@ $(LIB) $(LDFLAGS) $(LDLIBS)

$(BUILD)/assay: $(CLI) $(SERVER) $(BUILD)/libassay.a
	$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(BUILD)/assay.pc: tools/assay.pc.in Makefile include/assay.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@REQUIRES@|$(PKGS)|' $< > $@

# ---- Tests -----------------------------------------------------------------
$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/internal.a $(LDFLAGS) $(LDLIBS) -lcmocka

unit: $(UNIT)
	tests/run_unit $(UNIT)

check-floors:
	tools/check_floors

test: all check-floors $(UNIT)
	tests/run $(BUILD)

SUITE ?= test
check-san:
	$(MAKE) BUILD=$(BUILD)/san HARDEN= OPTIMISE=-O1 \
	    SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" $(SUITE)

# Threads meet in the library and in the server.
SERVED := $(patsubst tests/cli/%.sh,%,$(wildcard tests/cli/serve*.sh))
check-tsan:
	$(MAKE) BUILD=$(BUILD)/tsan HARDEN= OPTIMISE=-O1 SANITIZE="-fsanitize=thread" all unit
	tests/run_cli $(BUILD)/tsan $(SERVED)

check-arm:
	tests/emulate_arm $(BUILD)/arm64 || [ $$? = 77 ]

# ---- Fuzzing (clang, libFuzzer) --------------------------------------------
FUZZ_SECONDS ?= 60
$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/internal.a $(LDFLAGS) $(LDLIBS)

fuzz-build: $(FUZZ)
fuzz:
	$(MAKE) CC=clang BUILD=$(BUILD)/clang-fuzz HARDEN= OPTIMISE=-O1 \
	    SANITIZE="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all" fuzz-build
	tests/run_fuzz $(BUILD)/clang-fuzz/fuzz $(FUZZ_SECONDS)

# ---- Benches ---------------------------------------------------------------
$(BUILD)/bench/%: bench/%.c $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/internal.a $(LDFLAGS) $(LDLIBS)

bench: all $(BENCH)
	bench/run $(BUILD) $(DATA)

# ---- Demo, installation ----------------------------------------------------
demo:
	tools/setup
	$(MAKE) all
	tools/demo $(BUILD)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	    $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/assay
	install $(BUILD)/assay $(DESTDIR)$(PREFIX)/bin/assay
	install -m 644 include/assay.h $(DESTDIR)$(PREFIX)/include/assay.h
	install -m 644 $(BUILD)/libassay.a $(DESTDIR)$(PREFIX)/lib/libassay.a
	install $(BUILD)/libassay.so $(DESTDIR)$(PREFIX)/lib/libassay.so.$(VERSION)
	ln -sf libassay.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libassay.so.$(SOVERSION)
	ln -sf libassay.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libassay.so
	install -m 644 $(BUILD)/assay.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/assay.pc
	install -m 644 docs/assay.1 $(DESTDIR)$(PREFIX)/share/man/man1/assay.1
	install -m 644 tools/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/assay
	cp -R models $(DESTDIR)$(PREFIX)/share/assay/

# Another prefix is another program: objects of its own.
deb:
	$(MAKE) BUILD=$(BUILD)/deb PREFIX=/usr all
	packaging/make_deb $(BUILD)/deb

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
