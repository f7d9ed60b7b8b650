/*
 * deltas.c - what a batch of calls adds to the usage.
 *
 * The rows are only ever added up, so that it does no harm when two are about
 * the same: groups are looked for among the last few.
 */
#include "journal/deltas.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "journal/record.h"

#define LOOK_BACK 16
#define HOUR_LEN  (sizeof("2026-01-31T23") - 1)
#define NO_KEY    "00000000-0000-0000-0000-000000000000"

/* Microseconds at which the second and every later bucket begin. */
static const int64_t bounds[DELTAS_BUCKETS - 1] = { 1000, 2000, 5000, 10000,
	20000, 50000, 100000, 150000, 200000, 300000, 500000, 700000, 1000000,
	1500000, 2000000, 3000000, 5000000, 7000000, 10000000, 15000000,
	20000000, 30000000, 60000000, 120000000 };

void
deltas_init(struct deltas *deltas)
{
	*deltas = (struct deltas){ .items = NULL };
}

void
deltas_fini(struct deltas *deltas)
{
	free(deltas->items);
	deltas_init(deltas);
}

/* A number that is there and not negative; false: none. */
static bool
number(const struct field *field, int64_t *out)
{
	char *end;

	if (field_is_null(field))
		return false;
	errno = 0;
	*out = strtoll(field->text, &end, 10); /* ends at the tab */
	return errno == 0 && end == field->text + field->len && *out >= 0;
}

static bool
is(const struct field *field, const char *text)
{
	return field->len == strlen(text) &&
	       memcmp(field->text, text, field->len) == 0;
}

static bool
same(const struct field *a, const struct field *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static bool
same_group(const struct delta *a, const struct delta *b)
{
	return same(&a->hour, &b->hour) && same(&a->user, &b->user) &&
	       same(&a->key, &b->key) && same(&a->kind, &b->kind) &&
	       same(&a->provider, &b->provider) && same(&a->model, &b->model) &&
	       same(&a->environment, &b->environment);
}

static size_t
bucket_of(int64_t latency_us)
{
	size_t bucket = 0;

	while (bucket < DELTAS_BUCKETS - 1 && latency_us >= bounds[bucket])
		bucket++;
	return bucket;
}

static struct field
or_else(const struct field *field, const char *otherwise)
{
	if (field_is_null(field))
		return (struct field){ otherwise, strlen(otherwise) };
	return *field;
}

static void
count(struct delta *delta, const struct field fields[FIELD_COUNT])
{
	const struct field *status = &fields[FIELD_STATUS];
	int64_t *sums = delta->sums;
	int64_t latency_us;

	sums[SUM_CALLS] = 1;
	sums[SUM_FAILED] = !is(status, CALL_STATUS_COMPLETED);
	(void)number(&fields[FIELD_PROMPT_TOKENS], &sums[SUM_PROMPT]);
	(void)number(&fields[FIELD_COMPLETION_TOKENS], &sums[SUM_COMPLETION]);
	if (!is(status, CALL_STATUS_COMPLETED)) {
		sums[SUM_UNCOMPLETED_PROMPT] = sums[SUM_PROMPT];
		sums[SUM_UNCOMPLETED_COMPLETION] = sums[SUM_COMPLETION];
	}
	if (!number(&fields[FIELD_COST], &sums[SUM_COST]))
		sums[SUM_COST_UNKNOWN] = 1;
	if (number(&fields[FIELD_LATENCY], &latency_us)) {
		sums[SUM_LATENCY] = latency_us;
		delta->buckets[bucket_of(latency_us)] = 1;
	}
}

/* False, and nothing is changed, when a sum would be too large. */
static bool
merge(struct delta *into, const struct delta *from)
{
	int64_t sums[SUM_COUNT];

	for (size_t i = 0; i < SUM_COUNT; i++)
		if (__builtin_add_overflow(into->sums[i], from->sums[i],
			&sums[i]))
			return false;
	memcpy(into->sums, sums, sizeof(sums));
	for (size_t i = 0; i < DELTAS_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	return true;
}

static enum err
append(struct deltas *deltas, const struct delta *delta)
{
	if (deltas->count == deltas->cap) {
		size_t cap = deltas->cap == 0 ? LOOK_BACK : deltas->cap * 2;
		struct delta *items =
		    reallocarray(deltas->items, cap, sizeof(*items));

		if (items == NULL)
			return ERR_MEMORY;
		deltas->items = items;
		deltas->cap = cap;
	}
	deltas->items[deltas->count++] = *delta;
	return OK;
}

enum err
deltas_add(struct deltas *deltas, const struct field fields[FIELD_COUNT])
{
	struct delta delta = {
		.user = fields[FIELD_USER],
		.hour = { fields[FIELD_STARTED].text, HOUR_LEN },
		.key = or_else(&fields[FIELD_KEY], NO_KEY),
		.kind = fields[FIELD_KIND],
		.provider = or_else(&fields[FIELD_PROVIDER], ""),
		.model = or_else(&fields[FIELD_MODEL], ""),
		.environment = or_else(&fields[FIELD_ENVIRONMENT], ""),
	};

	if (is(&fields[FIELD_STATUS], CALL_STATUS_RUNNING))
		return OK;
	if (fields[FIELD_STARTED].len < HOUR_LEN)
		return ERR_INPUT;
	count(&delta, fields);
	for (size_t i = 0; i < deltas->count && i < LOOK_BACK; i++) {
		struct delta *known = &deltas->items[deltas->count - 1 - i];

		if (same_group(known, &delta) && merge(known, &delta))
			return OK;
	}
	return append(deltas, &delta);
}

static void
print_field(struct buf *out, const struct field *field)
{
	buf_add(out, field->text, field->len);
	buf_addc(out, '\t');
}

static void
print(const struct delta *delta, struct buf *out)
{
	print_field(out, &delta->user);
	buf_add(out, delta->hour.text, delta->hour.len);
	buf_adds(out, ":00:00Z\t");
	print_field(out, &delta->key);
	print_field(out, &delta->kind);
	print_field(out, &delta->provider);
	print_field(out, &delta->model);
	print_field(out, &delta->environment);
	for (size_t i = 0; i < SUM_COUNT; i++)
		buf_addf(out, "%lld\t", (long long)delta->sums[i]);
	for (size_t i = 0; i < DELTAS_BUCKETS; i++)
		buf_addf(out, "%c%lld", i == 0 ? '{' : ',',
		    (long long)delta->buckets[i]);
	buf_adds(out, "}\n");
}

void
deltas_print(const struct deltas *deltas, struct buf *out)
{
	for (size_t i = 0; i < deltas->count; i++)
		print(&deltas->items[i], out);
}
