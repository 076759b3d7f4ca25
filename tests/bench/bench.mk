# SPDX-License-Identifier: MIT
#
# bench.mk - builds the peers that `make bench` measures sole against.
#
# The Makefile includes this; `make -f tests/bench/bench.mk` from the top of the
# tree works as well. A peer whose tools are missing is named and left out.
# Everything lands in build/bench, always optimized and never sanitized, whatever
# the rest of the tree is built with: figures of anything else would mislead.

.PHONY: bench-build
bench-build:

BENCH        = build/bench
BENCH_CFLAGS = -std=gnu17 -O2 -g $(WARNINGS) $(if $(DEVELOPER),-Werror)
BENCH_PEERS  = $(BENCH)/floor $(BENCH)/zmq_clients $(BENCH)/first_answer $(BENCH)/sole_clients $(BENCH)/sole_fill \
               $(BENCH)/redis_clients $(BENCH)/redis_actors $(BENCH)/seed-go $(BENCH)/gencall.beam
BENCH_CREW  := $(patsubst %,$(BENCH)/%.o,tests/bench/crew common/histogram common/log common/options common/quantity)

bench-build: $(BENCH_PEERS)

bench_say  = $(if $(V),,@printf '  %-7s %s\n' "$(1)" "$(2)";)
bench_skip = printf '  %-7s %s\n' SKIP "$(1)"

$(BENCH)/%.o: %.c | $(FIRST)
	@mkdir -p $(@D)
	$(call bench_say,CC,$<)$(CC) -I. -D_GNU_SOURCE $(BENCH_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH)/floor: $(BENCH)/tests/bench/floor.o $(BENCH_CREW)
	$(call bench_say,LD,$@)$(CC) -o $@ $^

$(BENCH)/zmq_clients: $(BENCH)/tests/bench/zmq_clients.o $(BENCH_CREW)
	$(call bench_say,LD,$@)$(CC) -o $@ $^ -lzmq

$(BENCH)/first_answer: $(BENCH)/tests/bench/first_answer.o $(BENCH_CREW)
	$(call bench_say,LD,$@)$(CC) -o $@ $^

# By itself, or beside another way of building, this file knows the library only as what the Makefile makes.
ifneq ($(BIN),bin)
bin/libsole.a:
	@$(MAKE) --no-print-directory -f Makefile CC=gcc SANITIZE= COVERAGE= $@
endif

$(BENCH)/sole_clients $(BENCH)/sole_fill: $(BENCH)/%: $(BENCH)/tests/bench/%.o $(BENCH_CREW) bin/libsole.a
	$(call bench_say,LD,$@)$(CC) -o $@ $^ -lzmq

# One command from source to program, so that a missing hiredis is met once.
$(BENCH)/redis_clients $(BENCH)/redis_actors: $(BENCH)/%: tests/bench/%.c tests/bench/crew.h $(BENCH_CREW) | $(FIRST)
	@mkdir -p $(@D)
	@if echo '#include <hiredis/hiredis.h>' | $(CC) -E -x c - >/dev/null 2>&1; then \
	   $(if $(V),set -x,printf '  %-7s %s\n' CC "$@"); \
	   $(CC) -I. -D_GNU_SOURCE $(BENCH_CFLAGS) -o $@ $(filter %.c %.o,$^) -lhiredis; \
	 else $(call bench_skip,$@: hiredis is not here (apt install libhiredis-dev)); fi

# Go's cache stays in the tree, so that the build needs no home folder and leaves
# nothing there; its settings are not the caller's, so that a peer is the same everywhere.
$(BENCH)/seed-go: tests/bench/seed.go | $(FIRST)
	@mkdir -p $(@D)
	@if command -v go >/dev/null; then \
	   $(if $(V),set -x,printf '  %-7s %s\n' GO "$@"); \
	   GOCACHE="$(CURDIR)/$(BENCH)/go-cache" GOENV=off GOFLAGS= go build -o $@ tests/bench/seed.go; \
	 else $(call bench_skip,$@: go is not here (apt install golang-go)); fi

$(BENCH)/gencall.beam: tests/bench/gencall.erl | $(FIRST)
	@mkdir -p $(@D)
	@if command -v erlc >/dev/null; then \
	   $(if $(V),set -x,printf '  %-7s %s\n' ERLC "$@"); HOME="$(CURDIR)/$(BENCH)" erlc -o $(@D) $<; \
	 else $(call bench_skip,$@: Erlang is not here (apt install erlang-base)); fi

-include $(wildcard $(BENCH)/*/*.d $(BENCH)/*/*/*.d)
