# minuted.  `make help` lists the targets.

# debug release asan tsan; each has its own tree.
PROFILE ?= debug
B       := build/$(PROFILE)
CC      := gcc
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
CFLAGS.tsan    := -O1 -g3 -U_FORTIFY_SOURCE -fsanitize=thread
LDFLAGS.asan   := -fsanitize=address,undefined
LDFLAGS.tsan   := -fsanitize=thread
CPPFLAGS += -Iinclude -I$(B)/gen -D_GNU_SOURCE \
	-isystem /usr/include/postgresql
CFLAGS   += -std=c11 -pthread $(WARN) $(HARDEN) $(CFLAGS.$(PROFILE))
LDFLAGS  += -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack \
	$(LDFLAGS.$(PROFILE))
LDLIBS   += -lfcgi $(shell pkg-config --libs $(PKGS) 2>/dev/null)

SRC  := $(filter-out src/main.c,$(sort $(wildcard src/*/*.c)))
GEN  := $(B)/gen/db/statements.h
OBJ  := $(SRC:%.c=$(B)/%.o) $(B)/gen/statements.o
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))

all: $(B)/minuted ## build the program (PROFILE=debug|release|asan|tsan)

$(B)/minuted: $(B)/src/main.o $(B)/libminuted.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libminuted.a: $(OBJ)
	@rm -f $@
	ar rcs $@ $^

$(B)/%.o: %.c $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Queries, migrations and prices become C strings.
$(GEN) $(B)/gen/statements.c &: sql/statements.awk $(sort $(wildcard sql/queries/*/*.sql sql/migrations/*.sql)) sql/prices.json
	@mkdir -p $(@D)
	awk -v out=$(B)/gen -f sql/statements.awk $(filter-out sql/statements.awk sql/prices.json,$^)

$(B)/gen/statements.o: $(B)/gen/statements.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/unit/%: tests/unit/%.c $(B)/libminuted.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $< -o $@ $(LDFLAGS) $(B)/libminuted.a $(LDLIBS) -lcriterion

.PHONY: all
-include $(OBJ:.o=.d) $(B)/src/main.d $(UNIT:=.d)
