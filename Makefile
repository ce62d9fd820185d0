# iau: one Makefile, objects under $(BUILD), external flags from pkg-config only. `make help` lists the targets;
# every variable below can be set on the command line or in an untracked config.mk.
-include config.mk

VERSION := 0.1.0
ifeq ($(origin CC),default) # '?=' cannot replace make's built-in CC
CC := mpicc
endif
PREFIX ?= /usr/local
BUILD  ?= build
ARCH   ?= native
OPT    ?= -O3
CFLAGS ?= $(OPT) -g -march=$(ARCH) $(vector_flag) -ffp-contract=fast -fno-math-errno -fno-trapping-math -fopenmp
MPIRUN ?= mpirun -q --bind-to none --oversubscribe
NP     ?= 1 2 3
PYTHON ?= /usr/bin/python3
TEST_TIMEOUT ?= 120
BUILD_ASAN   ?= $(BUILD)-asan

# Values that need installed programs are worked out at first use and kept, so that `make deps check` can be
# read on a machine that has neither a compiler nor pkg-config yet.
once = $(eval $(1) := $(2))$($(1))
hdf5_pkg    = $(call once,hdf5_pkg,$(shell for p in hdf5 hdf5-serial hdf5-openmpi; do \
                  pkg-config --exists $$p && echo $$p && break; done))
PKGS        ?= $(hdf5_pkg) openblas yaml-0.1 libcrypto zlib matio libzip
pkg_cflags  = $(call once,pkg_cflags,$(shell pkg-config --cflags $(PKGS)))
pkg_libs    = $(call once,pkg_libs,$(shell pkg-config --libs $(PKGS)))
cunit_flags = $(call once,cunit_flags,$(shell pkg-config --cflags cunit))
cunit_libs  = $(call once,cunit_libs,$(shell pkg-config --libs cunit))
# gcc prefers 256-bit vectors on AVX-512 machines; the flag says nothing to other x86 machines.
vector_flag = $(call once,vector_flag,$(shell $(CC) -mprefer-vector-width=512 -E -x c /dev/null \
                  >/dev/null 2>&1 && echo -mprefer-vector-width=512))
source_version = $(call once,source_version,$(VERSION)$(shell git describe --always --dirty \
                     --exclude='*' 2>/dev/null | sed 's/^/+/'))

WARN    := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes
compile  = $(CC) $(WARN) -Iinclude $(CPPFLAGS) $(pkg_cflags) $(CFLAGS)
link     = $(CC) $(CFLAGS) $(LDFLAGS)
libs     = $(LDLIBS) $(pkg_libs) -lm

# Open MPI refuses to run as root unless told otherwise; in a container root is the normal user. More ranks than
# cores are normal here too, so waiting ranks yield. One BLAS thread: another count gives other bytes.
ifeq ($(shell id -u),0)
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
endif
export OMPI_MCA_mpi_yield_when_idle ?= 1
export OPENBLAS_NUM_THREADS := 1

src     := $(filter-out src/app/main.c,$(wildcard src/*/*.c))
objects := $(src:%.c=$(BUILD)/%.o)
lib     := $(BUILD)/libiau.a
program := $(if $(wildcard src/app/main.c),$(BUILD)/iau)
tests   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
helpers := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(filter-out tests/test_% tests/make_%,$(wildcard tests/*.c)))
bench_programs := $(BUILD)/tests/bench/bench $(BUILD)/tests/bench/layers
scripts := $(wildcard tests/check_*.sh tests/smoke*.sh)
headers := $(wildcard include/*/*.h)

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-4s %s\n' $(1) $(2))

.PHONY: all readme deps bench-programs check check-slurm check-asan fuzz bench demo cifar10 install uninstall clean format help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(program) $(lib)

# Objects are made again when the compiler or a flag changes.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(compile) | $(link) $(libs)' | cmp -s - $@ || echo '$(compile) | $(link) $(libs)' >$@
$(BUILD)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(source_version)' | cmp -s - $@ || echo '$(source_version)' >$@

# Version, instruction set and compiler are compiled into one object.
$(BUILD)/src/app/version.o: $(BUILD)/version
$(BUILD)/src/app/version.o: private CPPFLAGS += -DIAU_VERSION='"$(source_version)"' -DIAU_ARCH='"$(ARCH)"'
# Runs before anybody knows what the CPU can do.
$(BUILD)/src/core/cpu.o: private ARCH := x86-64
$(BUILD)/tests/%.o: private CPPFLAGS += -Itests $(cunit_flags)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(compile) -MMD -MP -c $< -o $@

$(lib): $(objects)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(objects)

$(BUILD)/iau: $(BUILD)/src/app/main.o $(lib)
	$(call say,LINK,$@)
	$(Q)$(link) $^ $(libs) -o $@

$(tests): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(helpers) $(lib)
	$(call say,LINK,$@)
	$(Q)$(link) $^ $(cunit_libs) $(libs) -o $@

deps: ## install the missing Debian packages, or name them for other systems
	@jobs/install_packages.sh $(if $(filter check%,$(MAKECMDGOALS)),extra)

# `make deps check`, also with -j: nothing is compiled before the packages are there.
ifneq ($(filter deps,$(MAKECMDGOALS)),)
$(BUILD)/flags $(BUILD)/version: | deps
endif

check: $(program) $(tests) $(bench_programs) $(BUILD)/tests/fuzz/replay ## run every test on NP="1 2 3" ranks; installs nothing
	@BUILD='$(BUILD)' MPIRUN='$(MPIRUN)' NP='$(NP)' PYTHON='$(PYTHON)' TEST_TIMEOUT='$(TEST_TIMEOUT)' \
	    COMPILE='$(compile)' tests/run_tests.sh $(tests) $(scripts)

# A real Slurm: one that the program in MINI_SLURM starts on this machine, or the cluster that it belongs to.
check-slurm: $(program) $(bench_programs) ## job scripts, requeues, campaigns, lost nodes, on a real Slurm; skipped without
	@BUILD='$(BUILD)' MPIRUN='$(MPIRUN)' PYTHON='$(PYTHON)' TEST_TIMEOUT='$(TEST_TIMEOUT)' COMPILE='$(compile)' \
	    tests/run_tests.sh $(wildcard tests/slurm/check_*.sh)

# Open MPI itself leaks at exit, so leaks are not looked for.
asan_flags = -O1 -g -march=$(ARCH) -ffp-contract=fast -fno-math-errno -fno-trapping-math -fopenmp \
             -fsanitize=address,undefined -fno-sanitize-recover=undefined
check-asan: export ASAN_OPTIONS := detect_leaks=0
check-asan: export UBSAN_OPTIONS := print_stacktrace=1
check-asan: ## the same under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory check BUILD='$(BUILD_ASAN)' TEST_TIMEOUT=600 CFLAGS='$(asan_flags)'

# The inputs that fuzzing has kept are run through the readers by `make check`; `make fuzz` looks for more.
$(BUILD)/tests/fuzz/replay: $(BUILD)/tests/fuzz/replay.o $(BUILD)/tests/fuzz/target.o $(lib)
	$(call say,LINK,$@)
	$(Q)$(link) $^ $(libs) -o $@

FUZZ_SECONDS ?= 60
FUZZ_FORMATS ?= idx cifar10 cifar100 svhn purchase csv numpy hdf5
BUILD_FUZZ   ?= $(BUILD)-fuzz
fuzz_flags    = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
fuzz_sources := $(wildcard src/core/*.c src/par/*.c src/io/*.c src/data/*.c) tests/fuzz/target.c tests/fuzz/fuzz.c
$(BUILD_FUZZ)/fuzz: $(fuzz_sources) $(headers) $(wildcard src/*/*.h tests/fuzz/*.h) Makefile
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)OMPI_CC=clang $(CC) -std=gnu11 -Iinclude $(CPPFLAGS) $(pkg_cflags) $(fuzz_flags) $(fuzz_sources) $(libs) -o $@

fuzz: $(BUILD_FUZZ)/fuzz ## fuzz every reader for FUZZ_SECONDS; needs clang and its sanitizers (Debian: clang, libclang-rt-14-dev)
	@tests/fuzz/run.sh $< $(BUILD_FUZZ) $(FUZZ_SECONDS) $(FUZZ_FORMATS)

$(bench_programs): %: %.o $(lib)
	$(call say,LINK,$@)
	$(Q)$(link) $^ $(libs) -o $@

bench-programs: $(bench_programs) ## what `make bench` and jobs/scaling.sbatch time

bench: $(bench_programs) ## speed beside PyTorch, on two ranks and threads, by layer; writes $(BUILD)/bench*.json
	@MPIRUN='$(MPIRUN)' $(PYTHON) tests/bench/bench.py $< $(BUILD)/bench.json

# Two ranks of one thread: what the smallest machine has. The same command again says `already done`.
DEMO_NP ?= 2
demo: all ## import Fashion-MNIST, train, forget 5 %, retrain, evaluate; ends with a table and a report
	@OMP_NUM_THREADS=1 $(MPIRUN) -n $(DEMO_NP) $(program) run configs/demo.yaml
	@$(PYTHON) analysis/report.py out/demo/results.h5 -o out/demo/report.html

# The binary version of CIFAR-10, unpacked; tests that need it are skipped without.
ifneq ($(CIFAR10_DIR),)
export CIFAR10_DIR
endif
cifar10: all ## the reference protocol on CIFAR-10; CIFAR10_DIR=FOLDER holds the binary version
	@OMP_NUM_THREADS=1 $(MPIRUN) -n $(DEMO_NP) $(program) run configs/cifar10_lenet5.yaml \
	    $(if $(CIFAR10_DIR),--data.source.files='[$(CIFAR10_DIR)]')
	@$(PYTHON) analysis/report.py out/cifar10_lenet5/results.h5 -o out/cifar10_lenet5/report.html

$(BUILD)/tests/tools/print_settings: $(BUILD)/tests/tools/print_settings.o $(lib)
	$(Q)$(link) $^ $(libs) -o $@

readme: $(BUILD)/tests/tools/print_settings ## put the settings reference into README.md
	@tests/tools/update_readme.sh $< README.md

install: all ## program and man page, into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/iau $(DESTDIR)$(PREFIX)/bin/iau
	$(if $(wildcard src/app/iau.1),install -D -m 644 src/app/iau.1 $(DESTDIR)$(PREFIX)/share/man/man1/iau.1)

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/iau $(DESTDIR)$(PREFIX)/share/man/man1/iau.1

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD_ASAN) $(BUILD_FUZZ)

format: ## apply .clang-format to every C file
	clang-format -i $(wildcard src/*/*.c include/*/*.h tests/*.[ch] tests/bench/*.c tests/fuzz/*.[ch])

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	    printf '  make %-11s %s\n' "$$name" "$$text"; done

print-%: # show a variable's value, for instance `make print-CFLAGS`
	@echo '$* = $($*)'

-include $(wildcard $(BUILD)/*/*/*.d $(BUILD)/*/*.d)
