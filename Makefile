# SPDX-License-Identifier: GPL-2.0
#
# For people: "make help" lists what there is. The kernel's own build reads Kbuild.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
# What is installed goes below this folder: for packages and tests.
DESTDIR ?=
INSTALL_MOD_PATH ?= $(DESTDIR)
PREFIX ?= /usr/local
MODULES := $(INSTALL_MOD_PATH)/lib/modules/$(KVER)
MODULE := updates/drivers/block/vinteg/vinteg.ko
TOOL := $(DESTDIR)$(PREFIX)/sbin/vintegctl
MANUAL := $(DESTDIR)$(PREFIX)/share/man/man8/vintegctl.8
DOC := $(DESTDIR)$(PREFIX)/share/doc/vinteg
RULES := $(DESTDIR)/etc/udev/rules.d/60-vinteg.rules
UNIT := $(DESTDIR)$(PREFIX)/lib/systemd/system/vinteg@.service

# For the test machine.
KERNEL ?= 6.12
KERNELS ?=
TESTS ?=
TIME ?= 60
SEED ?=
export KERNEL KERNELS TESTS

.PHONY: all modules install install-files uninstall clean clean-cache headers
.PHONY: check check-uml check-debug coverage crashstates fuzz static mutants bench demo vm uml help
.PHONY: powercut powercut-vm powercut-table clients

all: modules

help:
	@echo 'Without a test machine, for the kernel of this one (or KVER=...):'
	@echo '  make             build the module'
	@echo '  make install     build it and install it for modprobe, and vintegctl(8)'
	@echo '  make uninstall   remove it again'
	@echo '  make clean       remove what the build left in this folder'
	@echo 'In a test machine, which is made on first use (as root):'
	@echo '  make demo        see what vinteg is for: a power cut, and what survives it'
	@echo '  make check       everything that is tested; parts of it with'
	@echo '                   KERNELS="6.1 6.12 7.3" and TESTS=pattern'
	@echo '  make check-uml   the tests in User-Mode Linux: less sure, but quick'
	@echo '  make check-debug the same under KASAN, lockdep and kmemleak, and under KCSAN;'
	@echo '                   TIME=seconds for the fuzzer and the races,'
	@echo '                   KERNELS="uml 7.3-kcsan 7.3-kasan"'
	@echo '  make powercut    cut the power of disks that are written to, and judge what is'
	@echo '                   left; CUTS=number SEED=number KERNELS="uml 6.1 6.12 7.3"'
	@echo '  make powercut-vm the same, but whole machines are killed, and booted again;'
	@echo '                   ROUNDS=number SEED=number KERNELS="6.1 6.12 7.3"'
	@echo '  make powercut-table'
	@echo '                   what all these power cuts have shown of the driver as it is'
	@echo '  make clients     the same under PostgreSQL and SQLite: is all there that they had'
	@echo '                   committed? CUTS=number SEED=number KERNELS="uml 6.1 6.12 7.3"'
	@echo '  make crashstates judge what a power cut could have left, by the thousand;'
	@echo '                   STATES=number SEED=number KERNELS="uml 6.1 6.12 7.3"'
	@echo '  make coverage    which lines of the driver do the tests execute?'
	@echo '  make fuzz        random sequences against a model; TIME=seconds, SEED=number'
	@echo '  make bench       how fast it is, beside loop and others; OUT=folder,'
	@echo '                   KERNELS=..., CELLS=pattern, QUICK=1, RESUME=1'
	@echo '  make static      the checks that run nothing'
	@echo '  make mutants     is every promise tested? Breaks the driver on purpose, in'
	@echo '                   one way after the other; parts of it with MUTANTS=pattern'
	@echo '  make vm          a shell in a machine with KERNEL=6.12 (or 6.1, 7.3)'
	@echo '  make uml         a shell in User-Mode Linux'
	@echo '  make clean-cache remove what the test machine was made of'

headers:
	@[ -d '$(KDIR)' ] || { \
		echo 'No headers of kernel $(KVER) here: install the package linux-headers-$(KVER) first.' >&2; \
		exit 1; }

modules: headers
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)' modules

install: modules
	install -D -m 644 drivers/block/vinteg/vinteg.ko '$(MODULES)/$(MODULE)'
	depmod -b '$(INSTALL_MOD_PATH)/' '$(KVER)'
	@$(MAKE) --no-print-directory install-files

# All but the module.
install-files:
	install -D -m 755 scripts/vintegctl '$(TOOL)'
	install -D -m 644 scripts/install/vintegctl.8 '$(MANUAL)'
	install -D -m 644 scripts/install/60-vinteg.rules '$(RULES)'
	install -d '$(dir $(UNIT))'
	sed 's|@SBIN@|$(PREFIX)/sbin|' scripts/install/vinteg@.service >'$(UNIT)'
	install -d '$(DOC)'
	install -m 644 README drivers/block/vinteg/vinteg.rst scripts/install/modprobe.conf \
		drivers/block/vinteg/sysfs-block-vinteg '$(DOC)'

uninstall:
	rm -f '$(MODULES)/$(MODULE)'
	-rmdir -p --ignore-fail-on-non-empty '$(dir $(MODULES)/$(MODULE))'
	depmod -b '$(INSTALL_MOD_PATH)/' '$(KVER)'
	rm -f '$(TOOL)' '$(MANUAL)' '$(RULES)' '$(UNIT)'
	rm -rf '$(DOC)'

clean:
	find . -path ./.git -prune -o -type f \
		\( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' -o -name 'modules.order' -o -name 'Module.symvers' \) \
		-exec rm -f {} +

clean-cache:
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/vinteg"

check:
	@scripts/check.sh

check-uml:
	@scripts/uml/check.sh '$(TESTS)'

check-debug:
	@TIME='$(TIME)' scripts/uml/debug.sh '$(TESTS)'

fuzz:
	@FUZZ_SECONDS='$(TIME)' FUZZ_SEED='$(SEED)' scripts/uml/check.sh test_fuzz

coverage:
	@scripts/uml/coverage.sh '$(TESTS)'

static:
	@scripts/kernel/static.sh

mutants:
	@scripts/mutants/run.sh '$(MUTANTS)'

powercut:
	@scripts/powercut/live.sh

powercut-vm:
	@scripts/powercut/whole.sh

powercut-table:
	@scripts/powercut/table.sh

clients:
	@scripts/powercut/clients.sh

bench:
	@KERNELS='$(KERNELS)' CELLS='$(CELLS)' QUICK='$(QUICK)' OUT='$(OUT)' \
		RESUME='$(RESUME)' scripts/bench/bench.sh

crashstates:
	@scripts/powercut/crashstates.sh

demo:
	@scripts/powercut/demo.sh

vm:
	@scripts/vm/shell.sh

uml:
	@scripts/uml/run.sh --shell
