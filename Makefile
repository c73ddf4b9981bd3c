# p2pnode: `make help` lists the targets. Variants stand side by side: `make SAN=address,undefined`
# builds in build/san-address-undefined, `make CC=clang` in build/clang, the plain build in build/.
MAKEFLAGS += --no-builtin-rules $(if $(filter 0,$(MAKELEVEL)),-j$(JOBS))
SHELL   := /bin/bash
CC      := gcc
SAN     ?=
COV     ?=
FUZZ    ?=
WERROR  ?= $(if $(CI),1,)
PREFIX  ?= /usr
DESTDIR ?=
JOBS    ?= $(shell nproc)
TALLY   ?= build/tally
VERSION := 0.1.0
comma   := ,

VARIANT := $(strip $(if $(filter-out gcc,$(CC)),$(notdir $(CC))) $(if $(SAN),san-$(subst $(comma),-,$(SAN))) \
             $(if $(FUZZ),fuzz) $(if $(COV),coverage))
B       := build$(if $(VARIANT),/$(subst $() ,-,$(VARIANT)))
Q       := $(if $(V),,@)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wformat=2 -Wundef -Wcast-qual -Wpointer-arith -Wwrite-strings $(if $(WERROR),-Werror)
HARDEN   := $(if $(SAN)$(COV),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DP2PNODE_VERSION='"$(VERSION)"' -DP2PNODE_PREFIX='"$(PREFIX)"' -Idaemon -Ictl
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(HARDEN) $(CFLAGS) -MMD -MP -pthread $(SANITIZE) \
             $(if $(FUZZ),-fsanitize=fuzzer-no-link) $(if $(COV),--coverage -O0)
LDFLAGS  += -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZE) $(if $(COV),--coverage)

LIBS_BASE   := -lcjson -lm
LIBS_DAEMON := $(LIBS_BASE) -lconfig -lsystemd -lssl -lcrypto -lsqlite3
LIBS_EXEC   := -lm -lsystemd -lseccomp
LIBS_CTL    := $(LIBS_BASE) -lconfig -lsmartcols -lcrypto

SOURCES  := $(wildcard daemon/*.c daemon/*/*.c daemon/*/*/*.c)
MAINS    := daemon/main.c daemon/exec/main.c
LIBRARY  := $(B)/libp2pnode.a
OBJECTS  := $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(MAINS),$(SOURCES)))
CTL      := $(patsubst %.c,$(B)/obj/%.o,$(wildcard ctl/*.c ctl/*/*.c))
WARM     := $(B)/p2pnode-warm.so
PROGRAMS := $(B)/p2pnode $(B)/p2pnode-exec $(B)/p2pctl $(WARM)

UNITS    := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
SIM      := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/sim/*.c))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHES  := $(patsubst tests/bench/%.c,$(B)/tests/%,$(wildcard tests/bench/bench_*.c))
C_FILES  := $(SOURCES) $(wildcard ctl/*.c ctl/*/*.c tests/*/*.c)
STYLED   := $(C_FILES) $(wildcard daemon/*.h daemon/*/*.h daemon/*/*/*.h ctl/*.h ctl/*/*.h tests/*/*.h)
PYTEST   := /usr/bin/python3 -m pytest -q -p no:cacheprovider
RUN      := /usr/bin/python3 tests/tally.py --jobs $(JOBS) --file $(TALLY)

.PHONY: all
all: $(PROGRAMS) ## build p2pnode, p2pnode-exec and p2pctl

$(B)/obj/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(if $(Q),@echo '  CC      $<')
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# Embeds it (.incbin), which the compiler does not tell.
$(B)/obj/daemon/control/interface.o: daemon/control/org.p2pnode.varlink daemon/control/org.varlink.service.varlink
$(B)/obj/daemon/exec/python_text.o: daemon/exec/python.py

$(LIBRARY): $(OBJECTS)
	$(Q)rm -f $@; ar rcs $@ $^

$(B)/p2pnode: $(B)/obj/daemon/main.o $(LIBRARY)
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

$(B)/p2pnode-exec: $(B)/obj/daemon/exec/main.o $(LIBRARY)
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_EXEC)

# Part of interpreters, which know no sanitizer: built without, whatever the variant.
$(B)/pic/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(WARNINGS) -O2 -g -MMD -MP -fPIC -fvisibility=hidden \
	    -fstack-protector-strong -c -o $@ $<

$(B)/pic/libwarm.a: $(patsubst %.c,$(B)/pic/%.o,$(wildcard daemon/base/*.c daemon/exec/*.c))
	$(Q)rm -f $@; ar rcs $@ $^

$(WARM): $(B)/pic/daemon/exec/warm_module.o $(B)/pic/libwarm.a
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) -shared -Wl,-z,relro,-z,now -Wl,--as-needed -o $@ $^ -lseccomp

$(B)/p2pctl: $(CTL) $(LIBRARY)
	$(if $(Q),@echo '  LD      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CTL)

# One cmocka program per tests/unit/test_*.c: a new file is a new test, no registration. Parts of
# p2pctl that have no main() of their own are tested like any other.
$(B)/tests/test_%: $(B)/obj/tests/unit/test_%.o $(B)/libp2pctl.a $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_DAEMON) -lseccomp -lsmartcols

$(B)/libp2pctl.a: $(filter-out $(B)/obj/ctl/main.o,$(CTL))
	$(Q)rm -f $@; ar rcs $@ $^

# Fuzz targets are programs that replay what the command line names; with FUZZ=1 libFuzzer drives them.
$(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(if $(FUZZ),,$(B)/obj/tests/fuzz/replay.o) $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $^ $(LIBS_DAEMON) -lseccomp

$(B)/tests/sim: $(SIM) $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

$(B)/tests/bench_%: $(B)/obj/tests/bench/bench_%.o $(LIBRARY)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

# ---- tests: every step counts into a tally, the last line sums it up and decides

export P2PNODE_BUILD := $(abspath $(B))
STEPS_QUICK = check-unit check-scenarios check-storm check-corpus check-screens check-lint format-check
STEPS_ALL   = check-clang check-storms check-mutants check-integration check-bench check-fuzz check-boot check-qemu check-packages check-piuparts check-container check-apparmor analyze
HERE        = $(MAKE) --no-print-directory

.PHONY: check check-all check-sanitized check-clang check-fuzz
check: programs-for-tests ## everything that needs no root and less than 90 s
	@mkdir -p build; rm -f $(TALLY)
	+@for step in $(STEPS_QUICK); do $(HERE) $$step || true; done
	@$(RUN) --total

# The crowd is one process that computes for a quarter of an hour: beside all others, with what they leave of a core.
check-all: programs-for-tests ## every test there is; needs root
	@[ "$$(id -u)" = 0 ] || { echo 'make check-all needs root: network namespaces and user changes'; exit 1; }
	@mkdir -p build; rm -f $(TALLY)
	+@nice -n 19 $(HERE) check-crowd & \
	for step in $(STEPS_QUICK) check-sanitized $(STEPS_ALL); do echo "== $$step"; $(HERE) $$step || true; done; wait
	@$(RUN) --total

check-sanitized: ## the quick checks once more with AddressSanitizer and UBSan
	+@$(RUN) build-sanitized $(HERE) -j$(JOBS) SAN=address,undefined programs-for-tests
	+@for step in $(filter-out check-lint,$(STEPS_QUICK)); do $(HERE) SAN=address,undefined $$step || true; done

check-clang: ## build everything with clang and no warning
	+@$(RUN) build-clang $(HERE) -j$(JOBS) CC=clang WERROR=1 CFLAGS=-O1 programs-for-tests

check-fuzz: FUZZ_SECONDS ?= 20
check-fuzz:
	+@$(RUN) build-fuzz $(HERE) -j$(JOBS) CC=clang SAN=address,undefined FUZZ=1 fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(RUN) fuzz --each tests/fuzz/fuzz.sh -- \
	    $(FUZZERS:$(B)/%=build/clang-san-address-undefined-fuzz/%)

.PHONY: programs-for-tests fuzzers
programs-for-tests: $(PROGRAMS) $(UNITS) $(FUZZERS) $(B)/tests/sim
fuzzers: $(FUZZERS)

.PHONY: check-unit check-scenarios check-storm check-storms check-crowd check-mutants check-corpus check-screens
check-unit: $(PROGRAMS) $(UNITS) ## unit tests
	@$(RUN) unit --each -- $(UNITS)

check-scenarios: $(B)/tests/sim
	@$(RUN) scenarios $(B)/tests/sim $(if $(REWRITE),--rewrite) tests/sim/scenarios/*.txt

check-storm: $(B)/tests/sim
	@$(RUN) storm $(B)/tests/sim --storms $(if $(SAN),4,40) --first 1 --nodes 20 --minutes 10 --jobs $(JOBS)
	@$(RUN) storm-sealed $(B)/tests/sim --storms $(if $(SAN),4,20) --first 1 --nodes 8 --minutes 10 --sealed --jobs $(JOBS)
	@$(RUN) storm-again $(B)/tests/sim --again tests/sim/seeds.txt

# 35 minutes of 200 labs of 50 nodes are 6,000 node-hours, four minutes on two cores. Every kind of
# fault has to strike a hundred times.
check-storms: STORM_MINUTES ?= 35
check-storms: $(B)/tests/sim
	@$(RUN) storms $(B)/tests/sim --storms 200 --first 1000 --nodes 50 --minutes $(STORM_MINUTES) --faults-least 100 --jobs $(JOBS)
	@$(RUN) storms-sealed $(B)/tests/sim --storms 50 --first 2000 --nodes 20 --minutes $(STORM_MINUTES) --sealed --faults-least 100 --jobs $(JOBS)
	@$(RUN) lifeguard $(B)/tests/sim --lifeguard 2 --nodes 100 --minutes 2 --seed 3

# A crowd's memory is gigabytes, touched here and there: large pages spare most of the way to it.
LARGE_PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
check-crowd: CROWD_NODES ?= 5000
check-crowd: CROWD_MINUTES ?= 60
check-crowd: $(B)/tests/sim ## an hour of 5,000 nodes: a quarter of an hour of one core, and 7 GB
	@$(RUN) crowd env $(LARGE_PAGES) $(B)/tests/sim --storms 1 --first 5000 --nodes $(CROWD_NODES) --minutes $(CROWD_MINUTES) --jobs 1

check-mutants: $(B)/tests/sim ## each rule that is taken out of the core is missed
	@$(RUN) mutants tests/sim/mutants.py $(B)

check-corpus: $(FUZZERS)
	@$(RUN) corpus --each tests/fuzz/corpus.sh -- $(FUZZERS)

check-screens: $(PROGRAMS)
	@$(RUN) screens $(PYTEST) $(wildcard tests/integration/test_ctl_*.py)

.PHONY: check-sim check-integration check-lint sim sim-curve bench-lifeguard bench-sched bench-tasks fuzz bench bench-membership bench-files bench-memory check-bench coverage
check-sim: check-scenarios check-storms check-crowd check-mutants ## scenarios, 200 storms, mutants (REWRITE=1: new traces)

# Linked to what the daemon is linked to, needed or not.
$(B)/tests/bare: $(B)/obj/tests/integration/bare.o
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -Wl,--no-as-needed $(LIBS_DAEMON)

# Ends a daemon at a write boundary of its own.
$(B)/tests/crash.so: tests/integration/crash.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(WARNINGS) -Wno-missing-prototypes $(CFLAGS) -fPIC -shared -o $@ $<

# A machine whose clock is wrong, or that is busy.
$(B)/tests/machine.so: tests/integration/machine.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(WARNINGS) -Wno-missing-prototypes $(CFLAGS) -fPIC -shared -o $@ $<

# A task that tries what tasks must not be able to do.
$(B)/tests/hostile: tests/integration/hostile.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(WARNINGS) $(CFLAGS) -o $@ $<

check-integration: $(PROGRAMS) $(B)/tests/bare $(B)/tests/crash.so $(B)/tests/machine.so $(B)/tests/hostile ## real daemons; needs root
	@$(RUN) integration --each $(PYTEST) -- $(filter-out tests/integration/test_ctl_%,$(wildcard tests/integration/test_*.py))

check-lint: $(LIBRARY) $(B)/p2pctl ## floors, purity, headers, sleeps, manual, events, claims, sizes, peers
	@$(RUN) lint --each -- $(foreach lint,layers.py pure.py headers.sh sleeps.py manual.py events.py claims.py sizes.py peers.py,tests/lint/$(lint))

SEED    ?= 1
NODES   ?= 50
MINUTES ?= 60
RUNS    ?= 20
bench-sched: $(B)/tests/bench_sched ## placement at 90 % load with old gossip, simulated: the waits beside two simple rules
	@$<

bench-lifeguard: $(B)/tests/sim ## Lifeguard's experiment beside plain SWIM, simulated: make bench-lifeguard [RUNS=20]
	$(B)/tests/sim --lifeguard $(RUNS) --nodes 100 --minutes 5

sim-curve: NODES = 64
sim-curve: $(B)/tests/sim ## speed of detection against false deaths: make sim-curve [RUNS=20] [NODES=64]
	$(B)/tests/sim --curve $(RUNS) --nodes $(NODES)

sim: $(B)/tests/sim ## replay a storm, or above 1,000 nodes a crowd: make sim SEED=0x2a NODES=50 MINUTES=60 [SEALED=1]
	$(LARGE_PAGES) $(B)/tests/sim --storm --seed $(SEED) --nodes $(NODES) --minutes $(MINUTES) $(if $(SEALED),--sealed)

fuzz: check-fuzz ## fuzz every target for FUZZ_SECONDS (20) with libFuzzer

bench: $(PROGRAMS) $(BENCHES) ## one JSON line per figure (membership beside memberlist: make bench-membership)
	@set -e; for b in $(BENCHES) $(wildcard tests/bench/bench_*.py); do $$b; done

# The member to compare with is written in Go, on Debian's package of memberlist.
PEER   := $(B)/bench/memberlist-peer
GOCODE := /usr/share/gocode
$(PEER): tests/bench/memberlist/peer.go
	@{ command -v go && [ -d $(GOCODE)/src/github.com/hashicorp/memberlist ]; } >/dev/null || \
	    { echo 'the peer needs Go and memberlist; as root: make deps-bench'; exit 1; }
	$(Q)mkdir -p $(@D)
	$(if $(Q),@echo '  GO      $<')
	$(Q)GO111MODULE=off GOPATH=$(GOCODE) GOCACHE=$(abspath $(@D))/go-cache go build -o $@ $<

bench-membership: $(PROGRAMS) $(PEER) ## beside memberlist; needs root (QUICK=1; ROWS=start,idle)
	@/usr/bin/python3 tests/bench/membership $(if $(QUICK),--quick) $(if $(ROWS),--rows $(ROWS))

# Limits and clients of the benches: programs without our code.
$(B)/bench/task_%: tests/bench/task_%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(WARNINGS) $(CFLAGS) -o $@ $<

TASK_BENCH := $(addprefix $(B)/bench/task_,limit client beanstalk)
bench-tasks: $(PROGRAMS) $(TASK_BENCH) ## tasks beside bare processes, gearmand and others; needs root (QUICK=1; ROWS=one-node,memory)
	@/usr/bin/python3 tests/bench/tasks $(if $(QUICK),--quick) $(if $(ROWS),--rows $(ROWS))

$(B)/bench/files-limit: $(B)/obj/tests/bench/files/limit.o
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcrypto

$(B)/bench/memory-load: $(B)/obj/tests/bench/memory/load.o
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

bench-memory: $(PROGRAMS) $(B)/bench/memory-load ## values beside an echo and redis; needs root (QUICK=1)
	@/usr/bin/python3 tests/bench/memory $(if $(QUICK),--quick)

bench-files: $(PROGRAMS) $(B)/bench/files-limit ## beside a C loop, rsync, nginx with curl; needs root (QUICK=1)
	@/usr/bin/python3 tests/bench/files $(if $(QUICK),--quick)

check-bench: $(PROGRAMS) $(TASK_BENCH) $(B)/tests/bench_sched ## every scenario of the benches, made small; needs root
	@$(RUN) bench-sched $(B)/tests/bench_sched
	@$(RUN) bench-membership /usr/bin/python3 tests/bench/membership --self-test
	@$(RUN) bench-tasks /usr/bin/python3 tests/bench/tasks --self-test

coverage: ## lines and branches that the unit tests and scenarios reach, in build/coverage/index.html
	+@$(HERE) -j$(JOBS) COV=1 TALLY=build/coverage.tally check-unit check-scenarios
	@gcovr -r . --object-directory build/coverage --filter 'daemon/' --html-details build/coverage/index.html --txt

# ---- style

.PHONY: analyze format format-check
analyze: ## clang-tidy and cppcheck
	@$(RUN) analyze --each tests/lint/analyze.sh -- $(filter-out tests/%,$(C_FILES))

format: ## clang-format everything
	clang-format -i $(STYLED)

format-check: ## whether make format would change anything
	@$(RUN) format clang-format --dry-run -Werror $(STYLED)

# ---- the machine

APT := build-essential pkg-config clang clang-format clang-tidy libclang-rt-dev cppcheck gcovr git \
       libsystemd-dev libconfig-dev libcjson-dev libssl-dev libsqlite3-dev libseccomp-dev \
       libsmartcols-dev libcmocka-dev python3 python3-pytest mandoc nftables iproute2 sqlite3 \
       debhelper mmdebstrap systemd-container prometheus zsh fish \
       rpm rpmlint lintian python3-firewall ufw qemu-system-x86 e2fsprogs \
       piuparts podman podman-compose crun netavark aardvark-dns iptables
APT_BENCH := golang-go golang-github-hashicorp-memberlist-dev gearman-job-server gearman-tools rsync nginx-light curl openssl redis-server \
    openssh-client openssh-server beanstalkd parallel bubblewrap
DNF := gcc make pkgconf clang clang-tools-extra compiler-rt cppcheck gcovr git systemd-devel \
       libconfig-devel cjson-devel openssl-devel sqlite-devel libseccomp-devel libsmartcols-devel \
       libcmocka-devel python3 python3-pytest mandoc nftables iproute sqlite golang-github-prometheus zsh fish \
       rpm-build rpmlint systemd-rpm-macros systemd-container mmdebstrap dpkg python3-firewall qemu-system-x86-core e2fsprogs \
       podman podman-compose crun netavark aardvark-dns iptables-nft
# What pkg-config says when everything to build with is there.
PKG := libconfig libcjson libsystemd openssl sqlite3 libseccomp smartcols
SUDO = $(if $(filter-out 0,$(shell id -u)),sudo)

.PHONY: deps deps-bench demo install clean help
deps: ## install what building and testing need (apt or dnf)
	@if command -v apt-get >/dev/null; then \
	    dpkg -s $(APT) >/dev/null 2>&1 || { $(SUDO) apt-get update -q && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(APT); }; \
	elif command -v dnf >/dev/null; then $(SUDO) dnf install -y $(DNF); \
	else echo 'neither apt-get nor dnf; the packages are: $(APT)'; exit 1; fi

deps-bench: deps ## install what make bench-membership needs besides (apt)
	@dpkg -s $(APT_BENCH) >/dev/null 2>&1 || \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(APT_BENCH)

demo: ## dependencies, build, and the main job: a lab of five nodes runs a task list
	@{ command -v $(firstword $(CC)) && pkg-config --exists $(PKG); } >/dev/null 2>&1 || \
	    if [ "$$(id -u)" = 0 ]; then $(HERE) deps; \
	    else echo 'something to build with is missing; as root: make deps'; exit 1; fi
	+@$(HERE) all
	@tests/demo/demo.sh $(B)

install: $(PROGRAMS) ## DESTDIR and PREFIX as usual
	install -D -m 755 $(B)/p2pnode $(DESTDIR)$(PREFIX)/sbin/p2pnode
	install -D -m 755 $(B)/p2pctl $(DESTDIR)$(PREFIX)/bin/p2pctl
	install -D -m 755 $(B)/p2pnode-exec $(DESTDIR)$(PREFIX)/libexec/p2pnode/p2pnode-exec
	install -D -m 644 $(WARM) $(DESTDIR)$(PREFIX)/libexec/p2pnode/p2pnode-warm.so
	install -D -m 640 -t $(DESTDIR)/etc/p2pnode etc/p2pnode/seed.conf etc/p2pnode/lab.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/p2pnode etc/p2pnode/p2pnode.conf.example \
	    etc/p2pnode/config.txt README.md daemon/PROTOCOL.md LICENSE
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system $(wildcard systemd/*.service systemd/*.socket systemd/*.slice)
	install -D -m 644 systemd/p2pnode.catalog $(DESTDIR)$(PREFIX)/lib/systemd/catalog/p2pnode.catalog
	install -D -m 644 systemd/p2pnode.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/p2pnode.conf
	install -D -m 644 systemd/p2pnode.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/p2pnode.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/firewalld/services packaging/firewall/p2pnode.xml
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(B)/p2pctl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/p2pctl
	$(B)/p2pctl completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_p2pctl
	$(B)/p2pctl completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/p2pctl.fish
	for page in $(wildcard daemon/*.[1-8] ctl/*.[1-8] etc/*.[1-8]); do install -D -m 644 $$page \
	    $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done

# A copy of what the package is made of: packaging tools write beside their sources.
STAGE = rm -rf build/$(1) && mkdir -p build/$(1)/p2pnode-$(VERSION) && \
        tar -c --exclude=./build --exclude=./.git . | tar -x -C build/$(1)/p2pnode-$(VERSION)

# Builds as anybody's make would: what this one was called with is not the package's concern.
PACKAGER = env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u CI
PACKED  := Makefile README.md LICENSE $(wildcard $(addsuffix /*,daemon daemon/* ctl etc etc/* systemd packaging/*))

.PHONY: deb rpm check-boot check-packages check-piuparts check-container check-apparmor check-qemu
check-boot: deb rpm ## boots a real systemd in a container and uses the packages there; needs root
	@$(RUN) boot-deb tests/boot/boot.sh deb build/p2pnode_$(VERSION)_*.deb build/boot
	@$(RUN) boot-rpm tests/boot/boot.sh rpm build/p2pnode-$(VERSION)-*.rpm build/boot
	@sed -n 's/^figure  //p' build/boot/deb.log build/boot/rpm.log

check-packages: deb rpm ## lintian, rpmlint, firewall files; needs root
	@$(RUN) packages tests/packages/lint.sh build/p2pnode_$(VERSION)_*.deb build/p2pnode-$(VERSION)-*.rpm build/boot

check-piuparts: deb ## the .deb comes, is upgraded and goes without a trace; needs root
	@tests/boot/tree.sh build/boot/bookworm
	@$(RUN) piuparts tests/packages/piuparts.sh build/p2pnode_$(VERSION)_*.deb build/boot

check-container: deb ## the image of packaging/container, and its lab of twelve, with podman; needs root
	@tests/boot/tree.sh build/boot/bookworm
	@$(RUN) container tests/packages/container.sh build/p2pnode_$(VERSION)_*.deb build/boot

check-apparmor: ## the profile, with the parser of Debian 13; needs root
	@$(RUN) apparmor tests/packages/apparmor.sh build/boot

check-qemu: deb $(B)/tests/hostile ## boots an emulated machine: control groups (level full), a cut of power; needs root
	@$(RUN) qemu tests/boot/qemu.sh build/p2pnode_$(VERSION)_*.deb $(B)/tests/hostile build/boot
	@sed -n 's/^figure  //p' build/boot/qemu.log

deb: build/deb/done ## build/p2pnode_*.deb
	@ls build/p2pnode_*.deb
rpm: build/rpm/done ## build/p2pnode-*.rpm
	@ls build/p2pnode-*.rpm

build/deb/done: $(PACKED)
	@$(call STAGE,deb)
	@cp -r packaging/debian build/deb/p2pnode-$(VERSION)/debian
	@cd build/deb/p2pnode-$(VERSION) && $(PACKAGER) dpkg-buildpackage -us -uc -b -j$(JOBS) \
	    > ../log 2>&1 || { tail -40 ../log; exit 1; }
	@rm -f build/p2pnode_*.deb && cp build/deb/p2pnode_*.deb build/ && touch $@

# Debian's rpm knows neither systemd's macros nor the packages to build with.
build/rpm/done: $(PACKED)
	@$(call STAGE,rpm)
	@tar -C build/rpm -czf build/rpm/p2pnode-$(VERSION).tar.gz p2pnode-$(VERSION)
	@cp systemd/p2pnode.sysusers build/rpm/
	@$(PACKAGER) rpmbuild -bb --define '_topdir $(CURDIR)/build/rpm' --define '_sourcedir %{_topdir}' \
	    $(if $(wildcard /etc/debian_version),--nodeps --load packaging/rpm/macros.systemd) \
	    packaging/rpm/p2pnode.spec > build/rpm/log 2>&1 || { tail -40 build/rpm/log; exit 1; }
	@rm -f build/p2pnode-*.rpm && cp build/rpm/RPMS/*/p2pnode-$(VERSION)-*.rpm build/ && touch $@

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | sort | while IFS=$$'\t' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done

.SECONDARY:
-include $(shell find $(B)/obj $(B)/pic -name '*.d' 2>/dev/null)
