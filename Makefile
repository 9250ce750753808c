# Every target does its own set-up, on a fresh Debian 12 or 13 as root: Debian's packages by apt;
# for `check` also three development tools by pip in .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Another python3 in front of Debian's breaks pybuild and has none of apt's modules.
export PATH := /usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL := C.UTF-8
export LAB_KERNEL
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' packaging/debian/changelog)
DEB := dist/dmguard_$(VERSION)_all.deb
PYTHON := /usr/bin/python3
NEWCOMER ?= demo test
PYTEST_ARGS ?=
BENCH ?=
FUZZ ?=
TORTURE ?=
HOST ?=
SCRATCH ?=

CHECK_PACKAGES := lvm2 python3 python3-venv python3-dbus-next python3-hypothesis python3-jsonschema \
  python3-pytest python3-pytest-xdist python3-pyudev python3-systemd python3-tenacity \
  dbus-daemon mandoc systemd
DEB_PACKAGES := dpkg-dev lintian
LAB_PACKAGES := e2fsprogs iproute2 kmod mmdebstrap patchelf uml-utilities

.PHONY: help demo test check vm-test torture deb bench fuzz lab newcomer clean \
  check-setup check-packages deb-setup lab-setup

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: deb lab-setup ## see a pool fill up and be grown, in a booted machine
	$(PYTHON) -m tests.demo

test: check vm-test ## everything: check, the package, and the tests in booted machines

check: check-setup ## format, lint, types, arrows, unit and edge tests: minutes
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy dmguard tests packaging/generate.py
	.venv/bin/lint-imports
	$(PYTHON) -m pytest tests/unit tests/edge -n 2 $(PYTEST_ARGS)

vm-test: deb lab-setup ## the tests that need a kernel with device-mapper, in booted machines
	$(PYTHON) -m pytest tests/vm -n 3 --dist loadgroup --durations=10 $(PYTEST_ARGS)

torture: deb lab-setup ## the power is cut at random moments of dmguard's acts; TORTURE='--cuts 300 --acts data,claim'
	$(PYTHON) -m tests.torture $(TORTURE)

deb: deb-setup ## dist/dmguard_VERSION_all.deb
	@packaging/build-deb

# On the host itself nothing is installed: whoever measures there has put dmguard on it.
bench: $(if $(filter 1,$(HOST)),,deb lab-setup) ## the guards measured side by side; BENCH='reaction --rounds 5'; HOST=1 SCRATCH=DIR
	$(PYTHON) -m tests.bench $(if $(filter 1,$(HOST)),--host --scratch '$(SCRATCH)') $(BENCH)

fuzz: check-packages ## hostile input to everything that is read; FUZZ='TARGET... --seconds 600'
	$(PYTHON) -m tests.fuzz $(FUZZ)

lab: deb lab-setup ## a shell in a booted machine with the package installed
	$(PYTHON) -m tests.lab shell --deb $(DEB)

newcomer: ## what a newcomer sees: make $(NEWCOMER) in a bare Debian 12, from the committed HEAD
	@packaging/apt-install mmdebstrap git
	@packaging/newcomer $(NEWCOMER)

clean: ## remove what was built
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

check-setup: .venv/ready

deb-setup:
	@packaging/apt-install $(DEB_PACKAGES)

lab-setup: check-packages
	@packaging/apt-install $(LAB_PACKAGES)

# Looked at each time: a stamp does not know that a package was removed.
check-packages:
	@packaging/apt-install $(CHECK_PACKAGES)

.venv/ready: packaging/dev-requirements.txt | check-packages
	/usr/bin/python3 -m venv --clear --system-site-packages .venv
	.venv/bin/pip install -q --disable-pip-version-check --root-user-action ignore -r $<
	touch $@
