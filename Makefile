# p2pnode: `make help` lists the targets. Variants stand side by side: `make SAN=address,undefined`
# builds in build/san-address-undefined, `make CC=clang` in build/clang, the plain build in build/.
MAKEFLAGS += --no-builtin-rules
CC      := gcc
SAN     ?=
COV     ?=
WERROR  ?= $(if $(CI),1,)
PREFIX  ?= /usr
DESTDIR ?=
VERSION := 0.1.0
comma   := ,

VARIANT := $(strip $(if $(filter-out gcc,$(CC)),$(notdir $(CC))) $(if $(SAN),san-$(subst $(comma),-,$(SAN))) $(if $(COV),coverage))
B       := build$(if $(VARIANT),/$(subst $() ,-,$(VARIANT)))
Q       := $(if $(V),,@)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wformat=2 -Wundef -Wcast-qual -Wpointer-arith -Wwrite-strings $(if $(WERROR),-Werror)
HARDEN   := $(if $(SAN)$(COV),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DP2PNODE_VERSION='"$(VERSION)"' -DP2PNODE_PREFIX='"$(PREFIX)"' -Idaemon
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(HARDEN) $(CFLAGS) -MMD -MP -pthread \
             $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) $(if $(COV),--coverage -O0)
LDFLAGS  += -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(if $(COV),--coverage)

LIBS_BASE   := -lcjson -lm
LIBS_DAEMON := $(LIBS_BASE) -lconfig -lsystemd -lssl -lcrypto -lsqlite3
LIBS_EXEC   := $(LIBS_BASE) -lsystemd -lseccomp
LIBS_CTL    := $(LIBS_BASE) -lconfig -lsmartcols -lcrypto

FLOORS   := base swim sched seal net store transfer exec control config
SOURCES  := $(wildcard daemon/*.c $(FLOORS:%=daemon/%/*.c))
MAINS    := daemon/main.c daemon/exec/main.c
LIBRARY  := $(B)/libp2pnode.a
OBJECTS  := $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(MAINS),$(SOURCES)))
CTL      := $(patsubst %.c,$(B)/obj/%.o,$(wildcard ctl/*.c))
PROGRAMS := $(B)/p2pnode $(B)/p2pnode-exec $(B)/p2pctl

UNITS    := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
SIM      := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/sim/*.c))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all
all: $(PROGRAMS)

$(B)/obj/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(if $(Q),@echo '  CC      $<')
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(LIBRARY): $(OBJECTS)
	$(Q)rm -f $@; ar rcs $@ $^

$(B)/p2pnode: $(B)/obj/daemon/main.o $(LIBRARY)
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

$(B)/p2pnode-exec: $(B)/obj/daemon/exec/main.o $(LIBRARY)
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_EXEC)

$(B)/p2pctl: $(CTL) $(LIBRARY)
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CTL)

# One cmocka program per tests/unit/test_*.c: a new file is a new test, no registration.
$(B)/tests/test_%: $(B)/obj/tests/unit/test_%.o $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_DAEMON) -lseccomp

# Fuzz targets as ordinary programs that replay the files named on the command line.
$(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

$(B)/tests/sim: $(SIM) $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

.PHONY: check-unit
check-unit: $(UNITS)
	$(Q)set -e; for t in $(UNITS); do $$t 2>$(B)/$$(basename $$t).log || { cat $(B)/$$(basename $$t).log; exit 1; }; done

.PHONY: check
check: check-unit

.PHONY: clean
clean:
	rm -rf build

.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
