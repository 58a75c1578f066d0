# A thin face over the CMake presets; `make help` lists what there is.

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

.PHONY: all build dev check sanitize simulate reliability fuzz demo bench instructions install package
.PHONY: package-check format lint tsan coverage valgrind clean help dependencies

all: build

## build: optimised and hardened, into build/ (programs in build/bin/)
build: dependencies
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) -DPOSTRIDER_TESTS=$(if $(TESTS),ON,OFF) > /dev/null
	@cmake --build build -j $(JOBS)

## dev: debug with address and undefined-behaviour sanitizers, into build/dev/
dev: dependencies
	@cmake --preset dev > /dev/null
	@cmake --build --preset dev -j $(JOBS)

## demo: build, start with a stand-in for Gmail on loopback, send a message, show what happened
demo: build
	@cmake --build build -j $(JOBS) --target smarthost
	@tests/demo/run build/bin

## check: build and run every test: units under sanitizers, dialogs, end to end, crash
check: dependencies
	@tests/run

## sanitize: units, corpora and programs under the address and undefined-behaviour sanitizers
sanitize: dependencies
	@tests/run sanitize

## simulate: seeds of the simulated world; SEEDS=1000, FIRST=1: any number, from any one on
simulate: dependencies
	@SEEDS=$(or $(SEEDS),1000) FIRST=$(or $(FIRST),1) JOBS=$(JOBS) tests/run simulation

## reliability: kill, cut the power, fill the disk, fail each call: long forms, half an hour, as root
reliability: dependencies
	@tests/run reliability
## fuzz: every parser, with clang's libFuzzer; SECONDS=60 each, TARGETS="..." for some of them
fuzz:
	@packaging/install-dependencies analysis
	@SECONDS_EACH=$(or $(SECONDS),60) TARGETS="$(TARGETS)" JOBS=$(JOBS) tests/fuzz/run

## bench: measure side by side with Postfix;  instructions: count those of the hot paths
bench: build
	@packaging/install-dependencies bench
	@bench/run
instructions: build
	@packaging/install-dependencies bench
	@cmake --preset release > /dev/null
	@cmake --build build -j $(JOBS) --target micro
	@bench/instructions

## coverage: lines that units and corpora run, by module; fails below 90 % where it matters
## tsan: units and programs under the thread sanitizer;  valgrind: units under memcheck
coverage tsan: dependencies
	@tests/run $@
valgrind:
	@packaging/install-dependencies analysis
	@tests/run valgrind

## install: programs, manual pages and units under PREFIX (/usr/local); DESTDIR is honoured
install: build
	@cmake --install build

## package: a Debian package, in build/package/
package: dependencies
	@packaging/build-package $(VERSION)

## package-check: the package in fresh Debian systems: install, upgrade, remove, after Postfix (long)
package-check: dependencies
	@tests/package/package.py

## format: clang-format on everything;  lint: clang-tidy
format:
	@git ls-files '*.h' '*.cc' | xargs clang-format -i
lint:
	@packaging/install-dependencies analysis
	@cmake --preset dev > /dev/null
	@git ls-files 'src/*.cc' 'apps/*.cc' | grep -v _test.cc | xargs -P $(JOBS) -n 4 clang-tidy-16 -p build/dev --quiet

clean:
	@rm -rf build

help:
	@sed -n 's/^## //p' Makefile

dependencies:
	@packaging/install-dependencies build
