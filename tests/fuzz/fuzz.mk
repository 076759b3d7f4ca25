# SPDX-License-Identifier: MIT
#
# fuzz.mk - the fuzz targets: $(BUILD)/fuzz/NAME from tests/fuzz/NAME.c, and how to run them.
#
# The Makefile includes this. Targets are built by clang, in a folder of their own, by a make of
# their own; all code under test passes its branches and its comparisons to the fuzzer.

FUZZ_TARGETS = $(basename $(notdir $(sort $(wildcard tests/fuzz/*.c))))
FUZZ         = $(FUZZ_TARGETS)
FUZZ_SECONDS = 60
FUZZ_SEED    = 0
FUZZ_WITH    = CC=clang SANITIZE=fuzzer-no-link,address,undefined OPTIMIZE='-O1 -g'
FUZZ_BUILD  := build/sanitize-fuzzer-no-link-address-undefined-clang

# What each stands on.
FUZZ_LIBS_service = $(BUILD)/tests/owner.a -lcmocka -lisal
FUZZ_LIBS_journal = $(BUILD)/tests/owner.a -lcmocka -lisal
FUZZ_LIBS_record  = $(BUILD)/tests/owner.a -lcmocka -lisal
FUZZ_LIBS_snapshot = -Wl,--wrap=store_digest_entry $(BUILD)/tests/owner.a -lcmocka -lisal
FUZZ_LIBS_text    = $(BUILD)/tests/owner.a
FUZZ_LIBS_wire    = $(BUILD)/tests/common.a
FUZZ_LIBS_zmtp    = $(BUILD)/owner/transport/parcel.o $(BUILD)/tests/clients.a
FUZZ_LIBS_engine  = $(BUILD)/tests/clients.a -lcmocka
FUZZ_LIBS_plan    = -Wl,--wrap=malloc $(BUILD)/tests/supervisor.a $(BUILD)/common/zpl.o -lczmq
FUZZ_LIBS_settings = -Wl,--wrap=exit,--wrap=zpl_load,--wrap=malloc $(BUILD)/owner/config.o $(BUILD)/common/zpl.o $(BUILD)/tests/owner.a -lczmq

.PHONY: fuzz fuzz-build fuzz-corpus fuzz-names
## fuzz: looks for inputs that break the decoders; FUZZ_SECONDS=60 each, FUZZ="NAME ..." only those
fuzz: fuzz-build
	@tests/fuzz/run.pl --build $(FUZZ_BUILD)/fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) $(FUZZ)

fuzz-build: | $(FIRST)
	@$(MAKE) --no-print-directory $(FUZZ_WITH) $(FUZZ:%=$(FUZZ_BUILD)/fuzz/%)

fuzz-names:
	@echo FUZZ_NAMES $(FUZZ_TARGETS)

## fuzz-corpus: the same, and keeps of what was found the few inputs that reach everything (tests/fuzz/corpus)
fuzz-corpus: fuzz-build
	@tests/fuzz/run.pl --build $(FUZZ_BUILD)/fuzz --seconds $(FUZZ_SECONDS) --keep $(FUZZ)

ifneq ($(findstring fuzzer,$(SANITIZE)),)
FUZZ_LINK = @mkdir -p $(@D)
FUZZ_LINK += $(if $(V),,&& printf '  %-7s %s\n' LD $@) && \
             $(CC) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS)) -o $@ $< $(FUZZ_LIBS_$*)

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(patsubst %,$(BUILD)/tests/%.a,common owner clients supervisor) \
                 $(BUILD)/common/zpl.o $(BUILD)/owner/config.o $(BUILD)/owner/transport/parcel.o
	$(FUZZ_LINK)
.SECONDARY: $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%.o)
endif

# The same targets with a main of their own in the fuzzer's place: for the corpora alone.
CORPUS_RUNS = $(FUZZ_TARGETS:%=$(BUILD)/corpus/%)
$(BUILD)/corpus/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/driver/driver.o $(patsubst %,$(BUILD)/tests/%.a,common owner clients supervisor) \
                   $(BUILD)/common/zpl.o $(BUILD)/owner/config.o $(BUILD)/owner/transport/parcel.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$(filter-out %/zpl.o %/config.o %/parcel.o,$^)) $(FUZZ_LIBS_$*)
.SECONDARY: $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%.o) $(BUILD)/tests/fuzz/driver/driver.o
