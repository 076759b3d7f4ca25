# SPDX-License-Identifier: MIT
#
# sim.mk - the simulation: the owner's real code and the clients' real engine in one program, driven by a seed.
#
# The Makefile includes this. No libzmq on the link line: what is simulated is what would need it.

.PHONY: sim check-teeth

SIM        = $(BUILD)/tests/sim/sim
SIM_NAMES  = $(basename $(notdir $(sort $(wildcard tests/sim/*.c))))
$(SIM): $(call objects,tests/sim,$(SIM_NAMES)) $(call objects,tests/lib,memory_disk) \
        $(BUILD)/tests/owner.a $(BUILD)/tests/clients.a
	$(call link,-lisal)

## sim: SEEDS=100000 runs of the simulation (FROM=1, JOBS=processors); SEED=n prints that one step by step
SEEDS      = 10000
FROM       = 1
JOBS       =
sim: $(SIM)
	@SEEDS=$(SEEDS) FROM=$(FROM) JOBS=$(JOBS) SEED=$(SEED) $(SIM)

check: $(SIM)

## check-teeth: plants faults in the code, one at a time, and shows that the simulation sees each
check-teeth:
	@CC=$(CC) tests/sim/teeth.pl
