/*
 * test_catalog.c - where a model name goes.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llm/provider.h"
#include "llm/snapshot.h"

struct bench {
	struct config *config;
	struct buf none, problems;
	struct snapshot *snapshot;
	struct arena *arena;
};

static void
start(struct bench *bench, const char *const *settings)
{
	setenv("DATABASE_URL", "postgresql:///x", 1);
	setenv("JWT_SECRET", "0123456789abcdef0123456789abcdef", 1);
	for (; *settings != NULL; settings += 2)
		setenv(settings[0], settings[1], 1);
	buf_init(&bench->none, 65536);
	buf_init(&bench->problems, 65536);
	cr_assert_eq(config_load(NULL, &bench->none, &bench->config), OK, "%s",
	    buf_str(&bench->none));
	bench->snapshot = snapshot_new(bench->config, &bench->problems);
	bench->arena = arena_new();
	cr_assert(bench->snapshot != NULL);
}

static void
stop(struct bench *bench)
{
	snapshot_release(bench->snapshot);
	arena_free(bench->arena);
	buf_fini(&bench->problems);
	buf_fini(&bench->none);
	config_free(bench->config);
}

static void
add_provider(struct bench *bench, const char *name, const char *kind,
    const char *url, const char *key_env, bool any)
{
	struct provider_row row = { name, kind, url, key_env, any, false };

	cr_assert_eq(snapshot_add_provider(bench->snapshot, &row), OK);
}

static void
add_model(struct bench *bench, const char *provider, const char *name)
{
	struct model_row row = { provider, name, name, 1000, 5 };

	cr_assert_eq(snapshot_add_model(bench->snapshot, &row), OK);
}

static void
add_price(struct bench *bench, const char *provider, const char *name,
    int64_t input)
{
	struct price_row row = { provider, name, { input, 2, -1, -1 } };

	cr_assert_eq(snapshot_add_price(bench->snapshot, &row), OK);
}

static const char *
goes_to(struct bench *bench, const char *model)
{
	const struct catalog_target *target =
	    snapshot_find(bench->snapshot, bench->arena, model);

	if (target == NULL)
		return "";
	return arena_printf(bench->arena, "%s:%s", target->provider->name,
	    target->upstream_model);
}

/* A fresh install, as its tables are. */
static void
fill(struct bench *bench)
{
	add_provider(bench, "openai", "openai", NULL, "OPENAI_API_KEY", false);
	add_provider(bench, "echo", "echo", NULL, NULL, false);
	add_model(bench, "openai", "gpt-4o");
	add_model(bench, "openai", "gpt-4o-mini");
	add_model(bench, "echo", "echo");
	add_price(bench, "echo", "echo", 0);
	add_price(bench, "openai", "gpt-4o", 7);
	add_price(bench, "openai", "llama", 9);
	cr_assert_eq(snapshot_close(bench->snapshot), OK);
}

Test(catalog, a_fresh_install_has_echo_alone)
{
	static const char *const none[] = { NULL };
	struct bench bench;

	start(&bench, none);
	fill(&bench);
	cr_expect_eq(snapshot_count(bench.snapshot), 1);
	cr_expect_str_eq(goes_to(&bench, "echo"), "echo:echo");
	cr_expect_str_eq(goes_to(&bench, "gpt-4o"), "");
	cr_expect_str_eq(goes_to(&bench, ""), "");
	cr_expect_str_eq(snapshot_default(bench.snapshot)->model, "echo");
	cr_expect_str_eq(buf_str(&bench.problems), "");
	stop(&bench);
}

Test(catalog, a_key_brings_the_listed_models_and_their_prices)
{
	static const char *const key[] = { "OPENAI_API_KEY", "sk-x",
		"OPENAI_MODELS", "ft:mine,gpt-4o", NULL };
	const struct catalog_target *target;
	struct bench bench;

	start(&bench, key);
	fill(&bench);
	cr_expect_str_eq(goes_to(&bench, "gpt-4o"), "openai:gpt-4o");
	cr_expect_str_eq(goes_to(&bench, "openai/gpt-4o"), "openai:gpt-4o");
	cr_expect_str_eq(goes_to(&bench, "ft:mine"), "openai:ft:mine");
	cr_expect_str_eq(goes_to(&bench, "echo/echo"), "echo:echo");
	cr_expect_str_eq(goes_to(&bench, "echo/gpt-4o"), "");
	cr_expect_str_eq(goes_to(&bench, "gpt-5000"), "");
	cr_expect_str_eq(snapshot_default(bench.snapshot)->model, "ft:mine");
	target = snapshot_find(bench.snapshot, bench.arena, "gpt-4o");
	cr_expect_eq(target->price.input, 7);
	cr_expect_str_eq(target->provider->base_url,
	    "https://api.openai.com/v1");
	cr_expect_str_eq(target->provider->key, "sk-x");
	cr_expect_not(target->provider->allow_local);
	target = snapshot_find(bench.snapshot, bench.arena, "gpt-4o-mini");
	cr_expect_eq(target->price.input, -1);
	stop(&bench);
}

Test(catalog, another_base_url_takes_any_name_without_a_key)
{
	static const char *const local[] = { "OPENAI_BASE_URL",
		"http://127.0.0.1:11434/v1/", "DEFAULT_MODEL", "llama", NULL };
	const struct catalog_target *target;
	struct bench bench;

	start(&bench, local);
	fill(&bench);
	target = snapshot_find(bench.snapshot, bench.arena, "llama");
	cr_assert(target != NULL);
	cr_expect_str_eq(target->provider->name, "openai");
	cr_expect_str_eq(target->provider->base_url,
	    "http://127.0.0.1:11434/v1");
	cr_expect(target->provider->allow_local);
	cr_expect(target->provider->key == NULL);
	cr_expect_eq(target->price.input, 9);
	cr_expect_eq(snapshot_count(bench.snapshot), 1,
	    "api.openai.com's models are not there");
	cr_expect_str_eq(goes_to(&bench, "openai/x/y"), "openai:x/y");
	cr_expect_str_eq(goes_to(&bench, "a/b"), "openai:a/b");
	cr_expect_str_eq(snapshot_default(bench.snapshot)->model, "llama");
	stop(&bench);
}

Test(catalog, preference_decides_who_of_two_gets_a_name)
{
	static const char *const keys[] = { "A_API_KEY", "ka", NULL };
	struct bench bench;

	start(&bench, keys);
	add_provider(&bench, "b", "openai", "https://b.example/v1", NULL,
	    false);
	add_provider(&bench, "a", "openai", "https://a.example/v1", "A_API_KEY",
	    true);
	add_model(&bench, "b", "same");
	add_model(&bench, "a", "same");
	add_model(&bench, "a", "only");
	cr_assert_eq(snapshot_close(bench.snapshot), OK);
	cr_expect_str_eq(goes_to(&bench, "same"), "b:same");
	cr_expect_str_eq(goes_to(&bench, "a/same"), "a:same");
	cr_expect_str_eq(goes_to(&bench, "only"), "a:only");
	cr_expect_str_eq(goes_to(&bench, "b/only"), "a:b/only");
	cr_expect_str_eq(goes_to(&bench, "other"), "a:other");
	cr_expect(snapshot_at(bench.snapshot, 3) == NULL);
	stop(&bench);
}

Test(catalog, a_provider_with_a_fault_is_named_and_left_out)
{
	static const char *const settings[] = { "BAD_API_KEY", "a b",
		"PROVIDER_ALLOW", "lan.example:8000", NULL };
	struct bench bench;

	start(&bench, settings);
	add_provider(&bench, "kind", "cohere", NULL, NULL, true);
	add_provider(&bench, "nourl", "openai", NULL, NULL, true);
	add_provider(&bench, "plain", "openai", "http://h.example/", NULL,
	    true);
	add_provider(&bench, "user", "openai", "https://u@h/", NULL, true);
	add_provider(&bench, "key", "openai", "https://h/", "BAD_API_KEY",
	    true);
	add_provider(&bench, "nokey", "openai", "https://h/", "MISSING_API_KEY",
	    true);
	add_provider(&bench, "lan", "openai", "http://lan.example:8000/v1",
	    NULL, true);
	add_model(&bench, "plain", "m");
	cr_assert_eq(snapshot_close(bench.snapshot), OK);
	cr_expect_str_eq(goes_to(&bench, "m"), "lan:m");
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = { "provider kind: ",
			"provider nourl: ", "provider plain: ",
			"provider user: ", "provider key: " };

		cr_expect(strstr(buf_str(&bench.problems), names[i]) != NULL,
		    "%s", names[i]);
	}
	cr_expect(strstr(buf_str(&bench.problems), "nokey") == NULL);
	cr_expect(strstr(buf_str(&bench.problems), "a b") == NULL);
	stop(&bench);
}

Test(catalog, nothing_at_all_has_no_default)
{
	static const char *const none[] = { NULL };
	struct bench bench;

	start(&bench, none);
	cr_assert_eq(snapshot_close(bench.snapshot), OK);
	cr_expect(snapshot_default(bench.snapshot) == NULL);
	cr_expect_str_eq(goes_to(&bench, "m"), "");
	stop(&bench);
}

Test(catalog, many_names_are_each_found)
{
	static const char *const none[] = { NULL };
	struct bench bench;
	char model[32];

	start(&bench, none);
	add_provider(&bench, "p", "openai", "https://h/v1", NULL, false);
	for (int i = 0; i < 500; i++) {
		snprintf(model, sizeof(model), "m%d", i * 7919 % 500);
		add_model(&bench, "p", model);
	}
	cr_assert_eq(snapshot_close(bench.snapshot), OK);
	for (int i = 0; i < 500; i++) {
		snprintf(model, sizeof(model), "m%d", i);
		cr_expect(snapshot_find(bench.snapshot, bench.arena, model) !=
			  NULL);
	}
	cr_expect_str_eq(snapshot_at(bench.snapshot, 1)->model, "m419");
	stop(&bench);
}

Test(catalog, without_postgresql_there_is_none_and_it_says_so)
{
	static const char *const none[] = { NULL };
	struct catalog *catalog;
	struct snapshot *snapshot;
	struct bench bench;

	start(&bench, none);
	cr_assert_eq(catalog_start(bench.config, &catalog), OK);
	cr_expect_eq(catalog_snapshot(catalog, NULL, &snapshot), ERR_BUSY);
	cr_expect(snapshot == NULL);
	catalog_stop(catalog);
	stop(&bench);
}

/* The thread sanitizer's allocator is asked before it is there. */
#ifndef __SANITIZE_THREAD__
#include "failing.h"

/* One that was left out would be answered 404 until the tables change. */
Test(catalog, want_of_memory_leaves_no_provider_out)
{
	static const char *const settings[] = { "A_API_KEY", "a", NULL };
	struct provider_row row = { "lan", "openai", "https://h.example/v1",
		"A_API_KEY", true, false };
	struct bench bench;
	bool hit = true;
	enum err err;

	for (long n = 0; hit; n++) {
		start(&bench, settings);
		failing_at(n);
		err = snapshot_add_provider(bench.snapshot, &row);
		hit = failing_stop();
		cr_expect(err == OK || (hit && err == ERR_MEMORY), "%ld", n);
		cr_assert_eq(snapshot_close(bench.snapshot), OK);
		if (err == OK)
			cr_expect_str_eq(goes_to(&bench, "m"), "lan:m", "%ld",
			    n);
		cr_expect_eq(bench.problems.len, 0, "%ld", n);
		stop(&bench);
	}
}
#endif
