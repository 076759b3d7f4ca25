# SPDX-License-Identifier: MIT
#
# coverage.mk - which branches of the code that a state's life hangs on the tests take.
#
# The Makefile includes this. Everything is built once more by gcc, in a folder of its own, and the unit tests of
# the pure layers run: what is measured are those that need no process and no luck.

COVERAGE_LEAST = 95
COVERAGE_TESTS = $(patsubst $(BUILD)/%,build/coverage/%,$(filter $(addprefix $(BUILD)/tests/,10-% 11-% 12-% 13-% 14-% 16-% 17-% 18-% 19-% 20-% 21-% 23-% 24-%),$(UNIT_TESTS)))
# Their branches are to be taken; of what is there.
COVERAGE_FILES = $(filter $(addprefix %/,frame.c segment.c journal.c journal_read.c journal_cut.c journal_start.c journal_salvage.c \
                 window.c snapshot_blocks.c snapshot_file.c snapshot_read.c snapshot_write.c session.c record.c recording.c replay.c recovery.c durability.c text_read.c),\
                 $(wildcard owner/*.c owner/*/*.c)) owner/transport/parcel.c clients/inbound.c common/wire.c common/zmtp.c

# What else takes them: the fuzzers' corpora, and some seeds of the simulation.
COVERAGE_CORPORA = $(filter-out plan settings,$(FUZZ_TARGETS))
COVERAGE_SEEDS   = 600

.PHONY: coverage coverage-build
## coverage: lines and branches of journal, snapshot, sessions, records and decoders that the tests below 30 take
coverage: coverage-build
	@SEEDS=$(COVERAGE_SEEDS) JOBS=2 tests/coverage.pl --least $(COVERAGE_LEAST) --build build/coverage $(foreach f,$(COVERAGE_FILES),--file $f) \
	  $(foreach t,$(COVERAGE_CORPORA),--run 'build/coverage/corpus/$t tests/fuzz/corpus/$t') --run build/coverage/tests/sim/sim $(COVERAGE_TESTS)

coverage-build: | $(FIRST)
	@$(MAKE) --no-print-directory CC=gcc COVERAGE=1 OPTIMIZE=-g $(COVERAGE_TESTS) $(COVERAGE_CORPORA:%=build/coverage/corpus/%) \
	  build/coverage/tests/sim/sim
