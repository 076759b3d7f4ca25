# SPDX-License-Identifier: MIT
#
# units.mk - the tests in C: $(BUILD)/tests/NN-name.t from tests/NN-name.c.
#
# The Makefile includes this. The number tells the layer that a test stands on; it is
# linked with an archive of that layer, of which the linker takes what is used, and
# with no library that the layer must not know: only from 30 on is there libzmq.

UNIT_TESTS := $(patsubst %.c,$(BUILD)/%.t,$(sort $(wildcard tests/[0-9]*.c)))

# Layer: objects. The supervisor's main stays out.
UNIT_common     = $(COMMON_O)
UNIT_owner      = $(PURE_O) $(COMMON_O) $(BUILD)/tests/lib/memory_disk.o
UNIT_supervisor = $(filter-out %/main.o,$(SUPER_O)) $(COMMON_O)
UNIT_clients    = $(call objects,clients,$(LIBRARY_PURE)) $(COMMON_O)

# Allocations of the code under test pass through the test, which may refuse them.
UNIT_WRAP = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=free

unit_archive = @mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/tests/common.a: $(UNIT_common)
	$(unit_archive)
$(BUILD)/tests/owner.a: $(UNIT_owner)
	$(unit_archive)
$(BUILD)/tests/supervisor.a: $(UNIT_supervisor)
	$(unit_archive)
$(BUILD)/tests/clients.a: $(UNIT_clients)
	$(unit_archive)

$(BUILD)/tests/10-%.t: $(BUILD)/tests/10-%.o $(BUILD)/tests/common.a
	$(call link,-lcmocka)
$(BUILD)/tests/11-%.t $(BUILD)/tests/14-%.t $(BUILD)/tests/17-%.t $(BUILD)/tests/18-recording.t $(BUILD)/tests/18-waiting.t: LDFLAGS += $(UNIT_WRAP)
$(BUILD)/tests/11-%.t: $(BUILD)/tests/11-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/12-%.t: $(BUILD)/tests/12-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/13-%.t: $(BUILD)/tests/13-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/14-%.t: $(BUILD)/tests/14-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/15-%.t: $(BUILD)/tests/15-%.o $(BUILD)/tests/supervisor.a
	$(call link,-lcmocka)
$(BUILD)/tests/17-%.t: $(BUILD)/tests/17-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/18-%.t: $(BUILD)/tests/18-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/19-journal.t $(BUILD)/tests/19-snapshot.t: LDFLAGS += $(UNIT_WRAP)
$(BUILD)/tests/19-%.t: $(BUILD)/tests/19-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/18-access.t: $(call objects,owner,denial_log)
$(BUILD)/tests/19-folder.t: $(call objects,owner,state/folder) $(call objects,common,lockfile)
$(BUILD)/tests/16-%.t: $(BUILD)/tests/16-%.o $(call objects,owner,transport/connections transport/parcel) $(BUILD)/tests/common.a
	$(call link,-lcmocka)
$(BUILD)/tests/20-%.t: $(BUILD)/tests/20-%.o $(BUILD)/tests/clients.a
	$(call link,-lcmocka)
$(BUILD)/tests/21-%.t: $(BUILD)/tests/21-%.o $(call objects,owner,state/backups state/folder state/lookback state/outcomes state/snapshot_child) $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal -lpthread)
$(BUILD)/tests/23-allocation.t $(BUILD)/tests/24-disk-faults.t: LDFLAGS += $(UNIT_WRAP)
$(BUILD)/tests/24-disk-faults.t: $(BUILD)/tests/24-disk-faults.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/23-%.t: $(BUILD)/tests/23-%.o $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lisal)
$(BUILD)/tests/30-%.t: $(BUILD)/tests/30-%.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lcmocka -lzmq)
$(BUILD)/tests/30-stream.t: $(BUILD)/tests/30-stream.o $(BUILD)/tests/clients.a
	$(call link,-lcmocka -lzmq)
$(BUILD)/tests/33-library-memory.t: LDFLAGS += $(UNIT_WRAP)
$(BUILD)/tests/33-%.t: $(BUILD)/tests/33-%.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lcmocka -lzmq)
$(BUILD)/tests/56-%.t: $(BUILD)/tests/56-%.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lcmocka -lzmq)

# Behaviours that tests start owners with, as shared objects like those of owner/examples.
TEST_BEHAVIOURS := $(patsubst tests/behaviours/%.c,$(BIN)/tests/%.so,$(sort $(wildcard tests/behaviours/*.c)))
$(TEST_BEHAVIOURS): $(BIN)/tests/%.so: tests/behaviours/%.c owner/include/sole/behaviour.h clients/sole.h
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -Iowner/include $(CFLAGS) $(LDFLAGS) -shared -o $@ $<

# What 81-instructions.t counts.
INSTRUCTIONS = $(BUILD)/tests/bench/instructions
check: $(INSTRUCTIONS)
$(INSTRUCTIONS): $(BUILD)/tests/bench/instructions.o $(BUILD)/tests/clients.a $(BUILD)/tests/owner.a
	$(call link,-lcmocka -lck -lisal)

## instructions: counts anew what an operation costs, into tests/bench/instructions
.PHONY: instructions
instructions: build/plain/tests/bench/instructions
	@tests/bench/instructions.pl --program $< --write tests/bench/instructions

# Kept: without this make takes the objects for intermediate and builds them each time.
.SECONDARY: $(UNIT_TESTS:.t=.o)

# What 39-operations speaks to: the library at the end of a pipe.
MATRIX_DRIVER = $(BUILD)/tests/matrix/driver
check: $(MATRIX_DRIVER)
$(MATRIX_DRIVER): $(BUILD)/tests/matrix/driver.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lzmq)

# What 65 to 67 ask an owner with while it is killed: it writes down what it was told.
CRASH_CLIENT = $(BUILD)/tests/crash/client
SHORT_WRITES = $(BUILD)/tests/crash/short.so
check: $(CRASH_CLIENT) $(SHORT_WRITES)
$(SHORT_WRITES): tests/crash/short.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(filter-out -fsanitize%,$(CFLAGS)) -D_GNU_SOURCE -shared -o $@ $< -ldl
$(CRASH_CLIENT): $(BUILD)/tests/crash/client.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lzmq)

# What asks while 71-restart starts the owner again.
RESTART_CLIENT = $(BUILD)/tests/restart/client
check: $(RESTART_CLIENT)
$(RESTART_CLIENT): $(BUILD)/tests/restart/client.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lzmq)

# What 76 starts under a supervisor: it ends at once, each time in another way.
CRASH_CHILD = $(BUILD)/tests/crash/child
check: $(CRASH_CHILD)
$(CRASH_CHILD): $(BUILD)/tests/crash/child.o $(COMMON_O)
	$(call link,)

## crash-children: ten thousand crashes of children under the supervisor; CRASHES=n
CRASHES    = 10000
.PHONY: crash-children
crash-children: all $(CRASH_CHILD)
	@SOLE_BIN=$(BIN) CRASHES=$(CRASHES) $(PROVE) -v tests/76-child-crashes.t

## crash: the owner killed a thousand times, all the faults of 66, losses of power for longer; KILLS=n, POWER=n
KILLS      = 1000
POWER      = 200
.PHONY: crash
crash: all $(CRASH_CLIENT) $(SHORT_WRITES)
	@SOLE_BIN=$(BIN) KILLS=$(KILLS) POWER=$(POWER) FAULTS=all $(PROVE) -v tests/65-crashes.t tests/66-faults.t tests/67-power.t \
	  tests/68-snapshot-kill.t

# What loads the owners of 78.
SOAK_CLIENT = $(BUILD)/tests/soak/client
check: $(SOAK_CLIENT)
$(SOAK_CLIENT): $(BUILD)/tests/soak/client.o $(BIN)/libsole.a $(BUILD)/tests/common.a
	$(call link,-lzmq)

## soak: an hour of mixed load, kills and restarts, judged a minute at a time, as a table; SOAK=10min
SOAK       = 1h
.PHONY: soak
soak: all $(CRASH_CLIENT) $(SOAK_CLIENT)
	@SOLE_BIN=$(BIN) SOAK=$(SOAK) $(PROVE) -v tests/78-soak.t

# The clients of 77: a thousand connections in two processes.
CROWD      = $(BUILD)/tests/crowd/good $(BUILD)/tests/crowd/bad
check: $(CROWD)
$(CROWD): $(BUILD)/tests/crowd/%: $(BUILD)/tests/crowd/%.o $(COMMON_O)
	$(call link,)
