# SPDX-License-Identifier: MIT
#
# sole: build, run, check. `make help` lists the targets.
#
# Every path is relative, so the tree may stand in a folder with spaces in its
# name. Nothing outside a recipe asks the system anything, so that `make deps all`
# works on a machine where nothing is installed yet.

PREFIX     = /usr/local
LIBDIR     = $(PREFIX)/lib
DESTDIR    =
CC         = gcc
OPTIMIZE   = -O3 -g
SANITIZE   =
COVERAGE   =
DEVELOPER  =
V          =

VERSION    = 0.1.0
SOVERSION  = 0

# One folder of objects for each way of building; plain programs land in bin/.
empty     :=
comma     := ,
VARIANT   := $(if $(COVERAGE),coverage,$(if $(SANITIZE),sanitize-$(subst $(comma),-,$(SANITIZE)),plain)$(if $(filter clang,$(CC)),-clang))
BUILD     := build/$(VARIANT)
BIN       := $(if $(filter plain,$(VARIANT)),bin,$(BUILD)/bin)

WARNINGS   = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
             -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-format-nonliteral \
             $(if $(filter gcc,$(CC)),-Wlogical-op -Wduplicated-cond -Wtrampolines)
# The compiler sees a program or library as a whole: a fifth less of the processor's time for each request. Objects hold
# code of their own, too, and tests are linked from that.
LTO       := $(if $(filter plain,$(VARIANT)),-flto=auto -ffat-lto-objects)
CFLAGS     = -std=gnu17 $(OPTIMIZE) $(LTO) $(WARNINGS) $(if $(DEVELOPER),-Werror) -fPIC -fvisibility=hidden -fno-common \
             -fstack-protector-strong $(if $(COVERAGE),--coverage) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CPPFLAGS   = -I. -Iowner/include -D_GNU_SOURCE $(if $(COVERAGE),-DCOVERAGE) $(if $(SANITIZE),,$(if $(findstring -O,$(OPTIMIZE)),-D_FORTIFY_SOURCE=2))
LDFLAGS    = $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(if $(COVERAGE),--coverage) -Wl,-z,relro,-z,now
Q         := $(if $(V),,@)
say        = $(if $(V),,@printf '  %-7s %s\n' "$(1)" "$(2)";)

# What is linked into what. A file belongs to the program of its folder;
# PURE objects are tested without libzmq on the link line, and of what is common only zpl needs CZMQ, and only
# certificate libzmq.
COMMON      = buffer exposition histogram json lockfile log mistakes notify options quantity rundir wire zmtp
OWNER_PURE  = core/behaviour core/by_hash core/by_order core/core core/crashed core/endings core/entry core/events core/execution core/lock core/operations \
              core/record core/recording core/replay core/session core/store core/table core/usage service/about \
              service/access service/clients service/denials service/items service/latency service/metrics \
              service/numbers service/numbers_items service/rights service/service service/sessions service/sketch \
              service/slow service/storage_items service/trace service/tracing service/watch state/disk state/durability \
              state/frame state/journal state/journal_cut state/journal_read state/journal_salvage \
              state/journal_start state/recovery state/segment state/snapshot_blocks state/snapshot_file \
              state/snapshot_read state/snapshot_write state/text state/text_read state/window
INSPECTION  = inspect/dump inspect/founding inspect/inspect inspect/log inspect/place inspect/record_json \
              inspect/record_print inspect/rehearse inspect/repair inspect/repair_parts inspect/restore \
              inspect/rounds inspect/survey inspect/survey_snapshots inspect/verify
OWNER_SHELL = $(INSPECTION) access_file config crash crash_notes denial_log disk_space loader memory metrics owner processes reload remote \
              state/backups state/folder state/lookback \
              state/outcomes state/snapshot_child state/state transport/accept_gate transport/connections \
              transport/door transport/endpoint transport/envelope transport/keyring transport/local \
              transport/local_in transport/local_out transport/outboxes transport/parcel transport/refusals \
              transport/tcp transport/transport transport/zap
LIBRARY_PURE  = engine compose inbound receive request stream traces watches
LIBRARY     = $(LIBRARY_PURE) admin connection context curve dealer library lookback numbers values
SUPERVISOR  = $(basename $(notdir $(wildcard supervisor/*.c)))

objects     = $(patsubst %,$(BUILD)/$(1)/%.o,$(2))
COMMON_O   := $(call objects,common,$(COMMON))
ZPL_O      := $(call objects,common,zpl)
CURVE_O    := $(call objects,common,certificate)
PURE_O     := $(call objects,owner,$(OWNER_PURE))
SHELL_O    := $(call objects,owner,$(OWNER_SHELL))
LIBRARY_O  := $(call objects,clients,$(LIBRARY))
SUPER_O    := $(call objects,supervisor,$(SUPERVISOR))

PROGRAMS   := $(patsubst %,$(BIN)/%,sole-owner sole-check sole-reader sole-writer sole-supervisor sole)
EXAMPLES   := $(patsubst owner/examples/%.c,$(BIN)/%.so,$(sort $(wildcard owner/examples/*.c)))
LIBS       := $(BIN)/libsole-owner.a $(BIN)/libsole.a $(BIN)/libsole.so

.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all examples run check check-behaviour check-valgrind analyze bench bench-all clean deb install uninstall help deps bench-deps analyze-deps deb-deps

## all (default): programs into bin/, the libraries, and the behaviours that are examples
all: $(PROGRAMS) $(LIBS) $(EXAMPLES)

## examples: the behaviours of owner/examples, as shared objects in bin/
examples: $(EXAMPLES)

# `make -j8 deps run`: deps goes first wherever it is named.
FIRST := $(filter deps bench-deps analyze-deps deb-deps,$(MAKECMDGOALS))

## run: the seed's program, 110 processes under the supervisor, for one second
run: all
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	  SOLE_RUNTIME_DIR="$$dir" $(BIN)/sole-supervisor supervisor/seed-110.zpl

-include tests/units.mk
-include tests/sim/sim.mk
include tests/bench/bench.mk
include tests/fuzz/fuzz.mk
include tests/coverage.mk

## check: every test, under prove; SANITIZE=address,undefined builds and tests with sanitizers
TESTS      = $(UNIT_TESTS) $(sort $(wildcard tests/[0-9]*.t))
PROVE      = prove -Itests/lib --timer $(if $(V),-v)
# What runs beside what stands in rules.yml.
check: all $(UNIT_TESTS) $(TEST_BEHAVIOURS)
	@SOLE_BIN=$(BIN) HARNESS_RULESFILE=tests/rules.yml $(PROVE) -j3 $(TESTS)

## check-behaviour: tries a behaviour against its contract; BEHAVIOUR=x.so (or table), SEED=n to see a run again
BEHAVIOUR  = table
SEED       =
check-behaviour: $(BIN)/sole-check
	$(BIN)/sole-check $(if $(SEED),--seed $(SEED)) "$(BEHAVIOUR)"

## check-valgrind: unit tests, programs and behaviours under valgrind; leaks are failures
VALGRIND   = valgrind -q --leak-check=full --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible \
             --error-exitcode=99 --child-silent-after-fork=yes
# Under a valgrind each: every program, or the owner only, where a test runs `sole` a hundred times. What
# needs pidfd_open(2) stays out: valgrind 3.19 does not have it, and a session would outlive its process; so do
# 56-ledger, whose clients are itself, started again, and the journal's and the snapshot's damages, each bit of
# which takes minutes: sanitizers see those.
VALGRIND_UNITS  = $(filter-out %/56-ledger.t %/19-journal.t %/19-snapshot.t %/21-lookback.t,$(UNIT_TESTS))
VALGRIND_TESTS  = $(patsubst %,tests/%.t,32-protocol-perl 34-owner-start 36-actors-life 36-actors-totals 39-operations \
                    40-supervisor-control 40-supervisor-reload 40-supervisor-start)
VALGRIND_OWNERS = $(patsubst %,tests/%.t,37-command-call 37-command-entries 37-command-watch 52-outcomes 54-limits)
check-valgrind: all $(UNIT_TESTS) $(MATRIX_DRIVER) $(TEST_BEHAVIOURS)
	@for t in $(VALGRIND_UNITS) $(patsubst %,"$(BIN)/sole-check --seed 1 --runs 5 %",table $(EXAMPLES)); do \
	  $(VALGRIND) $$t >/dev/null || { echo "not clean under valgrind: $$t"; exit 1; }; done
	@SOLE_BIN=$(BIN) SOLE_TIME_FACTOR=15 SOLE_WRAPPER="$(VALGRIND)" $(PROVE) -j2 $(VALGRIND_TESTS)
	@SOLE_BIN=$(BIN) SOLE_TIME_FACTOR=15 SOLE_WRAPPER="$(VALGRIND)" SOLE_WRAPPED=sole-owner $(PROVE) -j2 $(VALGRIND_OWNERS)

## analyze: gcc -fanalyzer and cppcheck over every file; any finding is a failure
SOURCES    = $(sort $(wildcard common/*.c owner/*.c owner/*/*.c clients/*.c supervisor/*.c))
ANALYZED   = $(SOURCES:%.c=build/analyze/%.o)
analyze:
	@$(MAKE) --silent -j"$$(nproc)" CC=gcc $(ANALYZED)
	$(call say,CPPCHECK,$(words $(SOURCES)) files)cppcheck -j"$$(nproc)" --quiet --std=c11 \
	  --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem --library=posix -I. -D_GNU_SOURCE $(SOURCES)

# gcc 12 takes for leaked what is only reached by its number, and says so of no line where that could be allowed.
build/analyze/owner/core/entry.o: CFLAGS += -Wno-analyzer-malloc-leak
build/analyze/%.o: %.c | $(FIRST)
	@mkdir -p $(@D)
	$(call say,ANALYZE,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -Werror -fanalyzer -MMD -MP -c -o $@ $<
-include $(wildcard build/analyze/*/*.d)

## bench: sole beside its peers, alternating, with ratios: the quick half, in under ten minutes
bench: all bench-build
	@tests/bench/bench.pl --quick --markdown tests/bench/RESULTS.md

## bench-all: every row, and the plots
bench-all: all bench-build
	@tests/bench/bench.pl --markdown tests/bench/RESULTS.md --plot tests/bench

## deps: installs what building and testing need, through apt, if anything is missing
DEPS       = gcc libc6-dev binutils libzmq3-dev libczmq-dev libxxhash-dev libisal-dev uthash-dev libmicrohttpd-dev \
             libncurses-dev libedit-dev libcmocka-dev perl libzmq-ffi-perl libio-pty-perl bash-completion mandoc procps strace systemd \
             iproute2 python3 python3-zmq clang libclang-rt-14-dev
## analyze-deps: what analyze and check-valgrind need beside that
## bench-deps: the peers that bench measures against
ANALYZE_DEPS = cppcheck valgrind
BENCH_DEPS = redis-server redis-tools libhiredis-dev golang-go erlang-base gnuplot-nox

define install_missing
@missing=; for p in $(1); do \
  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then \
  as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
  echo "installing:$$missing"; \
  $$as_root apt-get -qq update && \
  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing >/dev/null; \
fi
endef

deps:
	$(call install_missing,$(DEPS))
analyze-deps:
	$(call install_missing,$(ANALYZE_DEPS))
bench-deps:
	$(call install_missing,$(BENCH_DEPS))

## install: under DESTDIR and PREFIX (/usr/local)
MAN1       = clients/sole.1 clients/sole-reader.1 clients/sole-writer.1 owner/kit/sole-check.1
MAN3       = clients/sole.3 owner/sole-behaviour.3
MAN5       = owner/state/sole-state.5
MAN7       = common/sole-protocol.7 systemd/sole-systemd.7
MAN8       = owner/sole-owner.8 supervisor/sole-supervisor.8
# Where Debian's python3 looks: below /usr one folder for all versions, below /usr/local one for each.
PYTHON_DIR = lib/$$([ "$(PREFIX)" = /usr ] && echo python3 || \
             /usr/bin/python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])' || echo python3)/dist-packages
# One file, under the name of each program: bash-completion looks for that.
COMPLETIONS = share/bash-completion/completions
# Where systemd looks: below /usr its own folders, as it tells; below /usr/local those that it looks into as well.
UNITS      = $(sort $(wildcard systemd/*.service systemd/*.socket systemd/*.target))
systemd_dir = $$([ "$(PREFIX)" = /usr ] && pkg-config --variable=$(1) systemd 2>/dev/null || echo "$(PREFIX)/lib/$(2)")
UNIT_DIR   = $(call systemd_dir,systemdsystemunitdir,systemd/system)
SYSUSERS_DIR = $(call systemd_dir,sysusersdir,sysusers.d)
TMPFILES_DIR = $(call systemd_dir,tmpfilesdir,tmpfiles.d)
install: all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include/sole" \
	  $(foreach n,1 3 5 7 8,"$(DESTDIR)$(PREFIX)/share/man/man$n")
	install -m 755 $(PROGRAMS) "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 $(BIN)/libsole.a $(BIN)/libsole-owner.a "$(DESTDIR)$(LIBDIR)"
	install -m 755 $(BIN)/libsole.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)"
	ln -sf libsole.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/libsole.so"
	install -m 644 clients/sole.h "$(DESTDIR)$(PREFIX)/include"
	install -m 644 owner/include/sole/behaviour.h "$(DESTDIR)$(PREFIX)/include/sole"
	for pc in clients/libsole owner/libsole-owner; do to="$(DESTDIR)$(LIBDIR)/pkgconfig/$${pc##*/}.pc"; \
	  sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' $$pc.pc.in >"$$to" && chmod 644 "$$to" || exit 1; done
	install -d "$(DESTDIR)$(PREFIX)/$(PYTHON_DIR)"
	install -m 644 clients/python/sole.py "$(DESTDIR)$(PREFIX)/$(PYTHON_DIR)"
	install -d "$(DESTDIR)$(PREFIX)/$(COMPLETIONS)"
	install -m 644 clients/sole.bash-completion "$(DESTDIR)$(PREFIX)/$(COMPLETIONS)/sole"
	for p in $(patsubst $(BIN)/%,%,$(filter-out $(BIN)/sole,$(PROGRAMS))); do ln -sf sole "$(DESTDIR)$(PREFIX)/$(COMPLETIONS)/$$p"; done
	install -m 644 $(MAN1) "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -m 644 $(MAN3) "$(DESTDIR)$(PREFIX)/share/man/man3"
	install -m 644 $(MAN5) "$(DESTDIR)$(PREFIX)/share/man/man5"
	install -m 644 $(MAN7) "$(DESTDIR)$(PREFIX)/share/man/man7"
	install -m 644 $(MAN8) "$(DESTDIR)$(PREFIX)/share/man/man8"
	install -d "$(DESTDIR)$(UNIT_DIR)" "$(DESTDIR)$(SYSUSERS_DIR)" "$(DESTDIR)$(TMPFILES_DIR)"
	for unit in $(UNITS); do to="$(DESTDIR)$(UNIT_DIR)/$${unit##*/}"; \
	  sed -e 's|^ExecStart=sole-|ExecStart=$(PREFIX)/bin/sole-|' "$$unit" >"$$to" && chmod 644 "$$to" || exit 1; done
	install -m 644 systemd/sole.sysusers.conf "$(DESTDIR)$(SYSUSERS_DIR)/sole.conf"
	install -m 644 systemd/sole.tmpfiles.conf "$(DESTDIR)$(TMPFILES_DIR)/sole.conf"

## uninstall: removes what install put there
uninstall:
	rm -f $(patsubst $(BIN)/%,"$(DESTDIR)$(PREFIX)/bin/%",$(PROGRAMS)) \
	  $(patsubst $(BIN)/%,"$(DESTDIR)$(PREFIX)/$(COMPLETIONS)/%",$(PROGRAMS)) \
	  "$(DESTDIR)$(LIBDIR)/libsole.a" "$(DESTDIR)$(LIBDIR)/libsole.so" \
	  "$(DESTDIR)$(LIBDIR)/libsole.so.$(SOVERSION)" "$(DESTDIR)$(PREFIX)/include/sole.h" \
	  "$(DESTDIR)$(PREFIX)/include/sole/behaviour.h" "$(DESTDIR)$(LIBDIR)/libsole-owner.a" \
	  "$(DESTDIR)$(LIBDIR)/pkgconfig/libsole.pc" "$(DESTDIR)$(LIBDIR)/pkgconfig/libsole-owner.pc" \
	  "$(DESTDIR)$(PREFIX)/$(PYTHON_DIR)/sole.py" \
	  $(foreach u,$(UNITS),"$(DESTDIR)$(UNIT_DIR)/$(notdir $u)") "$(DESTDIR)$(SYSUSERS_DIR)/sole.conf" \
	  "$(DESTDIR)$(TMPFILES_DIR)/sole.conf" \
	  $(foreach m,$(MAN1) $(MAN3) $(MAN5) $(MAN7) $(MAN8),"$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $m))/$(notdir $m)")

# What is linked or included, of all that building and testing need.
LIBRARIES  = $(subst $(empty) ,$(comma) ,$(strip $(filter-out libc6-dev libcmocka-dev libclang-%,$(filter %-dev,$(DEPS)))))
## deb: packages of Debian into build/deb: sole, libsole0, libsole-dev, python3-sole; checked by lintian
deb:
	@rm -rf build/deb && mkdir -p build/deb/sole-$(VERSION)
	@tar -c --exclude=./bin --exclude=./build --exclude=./.git . | tar -x -C build/deb/sole-$(VERSION)
	@cp -r systemd/debian build/deb/sole-$(VERSION)/debian
	@sed -i 's/@LIBRARIES@/$(LIBRARIES)/' build/deb/sole-$(VERSION)/debian/control
	$(call say,DEB,sole $(VERSION))cd build/deb/sole-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL \
	  DEB_BUILD_OPTIONS="$${DEB_BUILD_OPTIONS:-parallel=$$(nproc)}" dpkg-buildpackage -us -uc -b >../build.log 2>&1 || \
	  { tail -n 30 ../build.log; exit 1; }
	@rm -rf build/deb/sole-$(VERSION)
	@cd build/deb && lintian --allow-root --fail-on error --suppress-tags $(LINTIAN_NOT) *.changes && ls *.deb
# It is no package of Debian's own, whose first would close a bug.
LINTIAN_NOT = initial-upload-closes-no-bugs

## deb-deps: what deb needs beside deps
DEB_DEPS   = debhelper dpkg-dev fakeroot lintian pkg-config
deb-deps:
	$(call install_missing,$(DEB_DEPS))

## clean: removes bin/ and build/
clean:
	rm -rf bin build

## help: this list
help:
	@sed -n 's/^## /  make /p' Makefile

$(BUILD)/%.o: %.c | $(FIRST)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

link = @mkdir -p $(@D)
link += $(if $(V),,&& printf '  %-7s %s\n' LD $@) && $(CC) $(if $(filter $(BIN)/%,$@),$(LTO),-fno-lto) $(LDFLAGS) -o $@ $(filter %.o,$(filter-out $(2),$^)) $(filter %.a,$(filter-out $(2),$^)) $(1)

# One object of many.
combine = $(if $(LTO),$(CC) $(CFLAGS) -flinker-output=nolto-rel,$(LD)) -r

# Behaviours in shared objects find the functions of sole/behaviour.h in the program that loads them.
$(BIN)/sole-owner: $(call objects,owner,main) $(BIN)/libsole-owner.a
	$(call link,-Wl$(comma)--whole-archive $(BIN)/libsole-owner.a -Wl$(comma)--no-whole-archive -Wl$(comma)--export-dynamic $(OWNER_LIBS),$(BIN)/libsole-owner.a)

# For an owner of one's own behaviour: link this and call sole_owner_main.
OWNER_LIBS = -lczmq -lzmq -lxxhash -lisal -lmicrohttpd
$(BIN)/libsole-owner.a: $(SHELL_O) $(PURE_O) $(ZPL_O) $(CURVE_O) $(COMMON_O)
	@mkdir -p $(@D)
	$(call say,AR,$@)$(combine) -o $(BUILD)/libsole-owner.o $^ && objcopy --localize-hidden $(BUILD)/libsole-owner.o && \
	  rm -f $@ && $(AR) rcs $@ $(BUILD)/libsole-owner.o

# What a behaviour is tried with: the core of an owner, without its shell.
KIT         = check input symbols world
$(BIN)/sole-check: $(call objects,owner/kit,$(KIT)) $(call objects,owner,loader) $(PURE_O) $(COMMON_O)
	$(call link,-Wl$(comma)--export-dynamic -lisal)

# Behaviours see the public headers only.
$(EXAMPLES): $(BIN)/%.so: owner/examples/%.c owner/include/sole/behaviour.h clients/sole.h | $(FIRST)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -Iowner/include $(CFLAGS) $(LDFLAGS) -shared -o $@ $<

$(BIN)/sole-reader: $(call objects,clients,reader actors) $(BIN)/libsole.a $(COMMON_O)
	$(call link,-lzmq)

$(BIN)/sole-writer: $(call objects,clients,writer actors) $(BIN)/libsole.a $(COMMON_O)
	$(call link,-lzmq)

COMMAND     = command command_admin command_ask command_call command_keygen command_lock command_lookback command_owner \
              command_run command_script command_stats command_table command_top command_trace command_txn command_wait \
              command_watch children complete doctor doctor_owner doctor_service doctor_sockets frame print reading series \
              shell shell_line signature terminal
$(BIN)/sole: $(call objects,clients,$(COMMAND)) $(BIN)/libsole.a $(CURVE_O) $(COMMON_O)
	$(call link,-lzmq -ledit -lncurses -ltinfo)

$(BIN)/sole-supervisor: $(SUPER_O) $(ZPL_O) $(COMMON_O)
	$(call link,-lczmq)

# Only the sole_ functions leave the library, static or shared.
LIBSOLE_O := $(LIBRARY_O) $(CURVE_O) $(call objects,common,buffer wire zmtp rundir)
$(BIN)/libsole.a: $(LIBSOLE_O)
	@mkdir -p $(@D)
	$(call say,AR,$@)$(combine) -o $(BUILD)/libsole.o $^ && objcopy --localize-hidden $(BUILD)/libsole.o && \
	  rm -f $@ && $(AR) rcs $@ $(BUILD)/libsole.o

$(BIN)/libsole.so: $(LIBSOLE_O)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LTO) $(LDFLAGS) -shared -Wl,-soname,libsole.so.$(SOVERSION) -o $@.$(SOVERSION) $^ -lzmq && \
	  ln -sf $(notdir $@).$(SOVERSION) $@

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
