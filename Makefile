# minuted.  `make help` lists the targets.

# debug release asan tsan fuzz; each has its own tree.
PROFILE ?= debug
B       := build/$(PROFILE)
CC      := $(if $(filter fuzz,$(PROFILE)),clang,gcc)
PKGS    := libcurl json-c libpq libjwt libargon2 libcrypto

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla \
	-Wimplicit-fallthrough -Wnull-dereference -Wconversion \
	-Wsign-conversion -Wswitch-enum -Werror
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	-fstack-clash-protection -fPIE
CFLAGS.debug   := -O1 -g3
CFLAGS.release := -O2 -g
CFLAGS.asan    := -O1 -g3 -U_FORTIFY_SOURCE -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS.fuzz    := -O1 -g3 -U_FORTIFY_SOURCE -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS.tsan    := -O1 -g3 -U_FORTIFY_SOURCE -fsanitize=thread
LDFLAGS.asan   := -fsanitize=address,undefined
LDFLAGS.fuzz   := -fsanitize=address,undefined
LDFLAGS.tsan   := -fsanitize=thread
CPPFLAGS += -Iinclude -I$(B)/gen -D_GNU_SOURCE \
	-isystem /usr/include/postgresql
CFLAGS   += -std=c11 -pthread $(WARN) $(HARDEN) $(CFLAGS.$(PROFILE))
LDFLAGS  += -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack \
	$(LDFLAGS.$(PROFILE))
LDLIBS   += -lfcgi $(shell pkg-config --libs $(PKGS) 2>/dev/null)

SRC  := $(filter-out src/main.c,$(sort $(wildcard src/*/*.c)))
SQL  := $(sort $(wildcard sql/queries/*/*.sql sql/migrations/*.sql))
GEN  := $(B)/gen/db/statements.h
OBJ  := $(SRC:%.c=$(B)/%.o) $(B)/gen/statements.o $(B)/gen/openapi.o
# The unit tests to run: names without test_, patterns with %.
ONLY ?= %
UNIT := $(filter $(ONLY:%=$(B)/unit/test_%),$(patsubst \
	tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/test_*.c))))
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TIDY := $(patsubst %.c,$(B)/tidy/%.ok,src/main.c $(SRC))
C_FILES  = $(wildcard src/*.c src/*/*.c include/*/*.h tests/*/*.c tests/*/*.h)
SCRIPTS := .ci/run deploy/run deploy/test deploy/local deploy/cluster \
	deploy/nginx-conf deploy/install-packages deploy/lib.sh \
	$(wildcard tests/lint/*) tests/support/with-postgres tests/support/each tests/support/twice

# V=1 shows the commands.
Q   := $(if $(V),,@)
SAY  = $(if $(V),,@echo "$(1) $@")

PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
PYTHON := /usr/bin/python3 -B -m pytest -q -p no:cacheprovider

# The documentation page's script and style; make run does without them where
# there is no npm, and the page says so.
DOCS     := build/share/docs
GET_DOCS := { deploy/install-packages docs && $(MAKE) docs; } || \
	echo "Without npm the documentation page has no script, and says so."

all: $(B)/minuted ## build the program (PROFILE=debug|release|asan|tsan)

$(B)/minuted: $(B)/src/main.o $(B)/libminuted.a
	$(call SAY,link)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libminuted.a: $(OBJ)
	@rm -f $@
	$Qar rcs $@ $^

$(B)/%.o: %.c $(GEN)
	@mkdir -p $(@D)
	$(call SAY,cc)
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Queries, migrations and prices become C strings.
$(GEN) $(B)/gen/statements.c &: sql/statements.awk $(SQL) sql/prices.json sql/admin.sql
	@mkdir -p $(@D)
	$Qawk -v out=$(B)/gen -f sql/statements.awk $(filter-out sql/statements.awk sql/prices.json sql/admin.sql,$^)

# The OpenAPI document, a C string too.
$(B)/gen/openapi.c: src/api/openapi.awk src/api/openapi.json
	@mkdir -p $(@D)
	$Qawk -f $^ >$(B)/gen/openapi.json
	$Q{ echo '#include "api/docs.h"'; \
		echo '#pragma GCC diagnostic ignored "-Woverlength-strings"'; \
		echo 'const char docs_openapi_text[] ='; \
		sed 's/[\\"?]/\\&/g; s/^/"/; s/$$/\\n"/' $(B)/gen/openapi.json; \
		echo ';'; } >$@

$(B)/gen/%.o: $(B)/gen/%.c
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/unit/%: tests/unit/%.c $(B)/libminuted.a
	@mkdir -p $(@D)
	$(call SAY,cc)
	$Q$(CC) $(UNIT_FLAGS.$(PROFILE)) $(CPPFLAGS) $(CFLAGS) -MMD -MP $< -o $@ $(LDFLAGS) $(B)/libminuted.a $(LDLIBS) $(if $(UNIT_FLAGS.$(PROFILE)),,-lcriterion)
UNIT_FLAGS.tsan := -isystem tests/support/plain

# The program with a migration more, for the test of an upgrade.
$(B)/faults/newer: tests/faults/migrations/9999_newer.sql $(B)/minuted
	@mkdir -p $@.d
	$(call SAY,link)
	$Qawk -v out=$@.d -f sql/statements.awk $(SQL) $<
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -c $@.d/statements.c -o $@.d/statements.o
	$Q$(CC) $(LDFLAGS) -o $@ $(B)/src/main.o $@.d/statements.o $(B)/libminuted.a $(LDLIBS)

$(B)/faults/%: tests/faults/%.c $(B)/libminuted.a
	@mkdir -p $(@D)
	$(call SAY,cc)
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) $< -o $@ $(LDFLAGS) $(B)/libminuted.a $(LDLIBS)

$(B)/fuzz/%: tests/fuzz/%.c $(B)/libminuted.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer $< -o $@ $(LDFLAGS) $(B)/libminuted.a $(LDLIBS)

$(B)/tidy/%.ok: %.c .clang-tidy $(GEN)
	@mkdir -p $(@D)
	$(call SAY,tidy)
	$Qclang-tidy --quiet $< -- $(CPPFLAGS) -std=c11 2>$@.log || { cat $@.log; false; }
	@touch $@

docs: $(DOCS)/docs.js ## get what the documentation page is made of, from npm

$(DOCS)/docs.js: $(addprefix deploy/docs/,package.json package-lock.json \
		.npmrc docs.js docs.css)
	@mkdir -p build/docs $(DOCS)
	$Qcp $^ build/docs
	$Qcd build/docs && npm ci --silent --fetch-retries=1
	$Qcp $(addprefix build/docs/node_modules/swagger-ui-dist/,LICENSE NOTICE \
		swagger-ui.css swagger-ui-bundle.js) deploy/docs/docs.css $(DOCS)
	$Qcp deploy/docs/docs.js $@

run: ## build, set up and start minuted here (PORT=8080)
	deploy/install-packages run
	$(MAKE) -j$(JOBS) PROFILE=release all
	$(GET_DOCS)
	deploy/local start

stop: ## stop what `make run` started
	deploy/local stop

status: ## say what of it runs
	deploy/local status

check: $(UNIT) ## unit tests (PROFILE=, ONLY="name pattern%")
	tests/support/with-postgres tests/support/each $(UNIT) -- $(RUN.$(PROFILE))
RUN.tsan := $(shell setarch -R true 2>/dev/null && echo setarch -R)

check-api: $(B)/minuted ## API tests (PROFILE=, PYTEST="-k name")
	tests/lint/readme $(B)/minuted
	MINUTED=$(B)/minuted tests/support/twice tests/api $(PYTEST)

check-clients: $(B)/minuted docs ## the official clients
	MINUTED=$(B)/minuted tests/support/twice tests/clients $(PYTEST)

test: ## everything: lint, unit tests three ways, API tests, clients
	deploy/install-packages run test
	$(MAKE) -j$(JOBS) lint
	for p in debug asan; do $(MAKE) -j$(JOBS) PROFILE=$$p all unit && \
		$(MAKE) PROFILE=$$p check || exit 1; done
	$(MAKE) -j$(JOBS) PROFILE=tsan ONLY='$(THREADED)' unit
	$(MAKE) PROFILE=tsan ONLY='$(THREADED)' check
	$(MAKE) check-api
	$(MAKE) PROFILE=asan check-api PYTEST='-m "not slow"'
	$(MAKE) check-clients
	$(MAKE) check-faults
# what the thread sanitizer has to see
THREADED := journal% relay% limit% inflight% cache% catalog% sweep% after% \
	outlet% verified% crowd%

unit: $(UNIT)

check-faults: $(B)/minuted $(B)/faults/mutate $(B)/faults/newer ## the quick half of the fault tests
	MINUTED=$(B)/minuted tests/support/twice tests/faults -m "not slow" $(PYTEST)
	MINUTED=$(B)/minuted $(FAULTS)/killloop.py --injections 30

test-faults: ## every fault, 1,000 kills, the table in README (SEED=)
	deploy/install-packages run test
	$(MAKE) -j$(JOBS) all $(B)/faults/mutate $(B)/faults/newer
	rm -rf build/faults
	MINUTED=$(B)/minuted $(PYTHON) tests/faults $(PYTEST)
	MINUTED=$(B)/minuted $(FAULTS)/killloop.py --injections 1000 $(SEED:%=--seed %)
	$(FAULTS)/table.py

soak: ## mixed load for SECONDS=1800: memory and descriptors stay flat
	$(MAKE) -j$(JOBS) PROFILE=release all
	MINUTED=build/release/minuted $(FAULTS)/soak.py
FAULTS := /usr/bin/python3 -B tests/faults

bench: ## the figures of this machine (ONLY="gateway reads", README=1)
	$(MAKE) -j$(JOBS) PROFILE=release all build/release/bench/streams
	MINUTED=$(CURDIR)/build/release/minuted /usr/bin/python3 -B \
		tests/bench/bench.py $(if $(README),--readme)

$(B)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call SAY,cc)
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) $< -o $@ $(LDFLAGS)

fuzz: ## every fuzz target for FUZZ_SECONDS=60
	$(MAKE) -j$(JOBS) PROFILE=fuzz fuzz-run
FUZZ_SECONDS ?= 60
fuzz-run: $(FUZZ)
	for f in $(FUZZ); do name=$${f##*/fuzz_}; dict=tests/fuzz/fuzz_$$name.dict; \
		mkdir -p $$f.corpus; $$f -max_total_time=$(FUZZ_SECONDS) \
		$$(test ! -f $$dict || echo -dict=$$dict) -artifact_prefix=$$f.found- \
		$$f.corpus tests/fuzz/corpus/$$name || exit 1; done

lint: format-check tidy lint-scripts ## format, clang-tidy, cppcheck, scripts, house rules

format-check:
	clang-format --dry-run -Werror $(C_FILES)

tidy: $(TIDY)

lint-scripts: $(GEN)
	shellcheck -x $(SCRIPTS)
	tests/lint/words
	tests/lint/layers
	tests/lint/settings
	tests/lint/headers $(CC) $(CPPFLAGS) -std=c11 $(WARN)
	cppcheck -q --std=c11 --enable=warning,portability --inline-suppr \
		--error-exitcode=1 $(addprefix --suppress=,missingInclude uninitvar \
		ctuuninitvar autoVariables) -Iinclude -I$(B)/gen src

format: ## clang-format everything
	clang-format -i $(C_FILES)

install: ## under DESTDIR and PREFIX=/usr/local
	$(MAKE) -j$(JOBS) PROFILE=release all
	$(MAKE) docs || echo "The documentation page will be without its script."
	[ ! -d $(DOCS) ] || install -D -m 0644 -t \
		$(DESTDIR)$(PREFIX)/share/minuted/docs $(DOCS)/*
	install -D -m 0755 build/release/minuted $(DESTDIR)$(PREFIX)/bin/minuted
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' deploy/minuted.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/minuted.service
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/minuted README.md \
		nginx.conf.example deploy/minuted.env.example sql/admin.sql

clean: ## remove build/, keep var/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

.PHONY: all docs run stop status check check-api check-clients test unit bench soak fuzz \
	check-faults test-faults fuzz-run lint format-check tidy lint-scripts format install clean help
-include $(OBJ:.o=.d) $(B)/src/main.d $(UNIT:=.d)
