/*
 * test_prices.c - price lists: what is imported, and what is refused.
 */
#include "db/prices.h"

#include "scratch_db.h"

static struct db *db;
static struct buf problem;

static void
start(void)
{
	scratch_start();
	db = scratch_connect(scratch_url, 30000);
	cr_assert_eq(migrate_run(db), OK, "%s", db_fault(db)->message);
	buf_init(&problem, 1024);
}

static void
stop(void)
{
	buf_fini(&problem);
	db_free(db);
	scratch_stop();
}

TestSuite(prices, .init = start, .fini = stop);

static struct prices_count
import(const char *json, const char *origin)
{
	struct prices_count count = { 0 };

	cr_assert_eq(prices_import(db, json, origin, &count, &problem), OK,
	    "%s %s", buf_str(&problem), db_fault(db)->message);
	return count;
}

static void
check(const char *condition)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
	    "do $$ begin assert (select %s); end $$", condition);
	scratch_do(db, sql);
}

Test(prices, the_built_in_list_is_there_after_migration)
{
	struct prices_count count = import(db_prices_json, "builtin");

	cr_expect_eq(count.added, 0);
	cr_expect_eq(count.changed, 0);
	cr_expect_eq(count.unchanged, 563);
	check("count(*) = 564 from minuted.prices"); /* and echo */
	check("input = 150000 and output = 600000 and cache_read = 75000"
	      " from minuted.prices where provider = 'openai'"
	      " and model = 'gpt-4o-mini'");
}

Test(prices, chat_models_of_openai_are_listed_and_others_are_not)
{
	check("count(*) = 4 from minuted.models where name in"
	      " ('echo', 'gpt-4o-mini', 'gpt-4o', 'o3-mini')");
	check("count(*) = 0 from minuted.models where name ~"
	      " '(embedding|tts|whisper|image|audio|realtime|davinci|^ft:|ada)"
	      "'");
}

Test(prices, a_changed_price_ends_and_a_new_one_begins)
{
	static const char first[] =
	    "{\"prices\": ["
	    "{\"provider\": \"p\", \"model\": \"a\", \"input\": 0.1,"
	    " \"output\": 1},"
	    "{\"provider\": \"p\", \"model\": \"b\", \"input\": 1e-6,"
	    " \"output\": null}]}";
	static const char second[] =
	    "{\"prices\": ["
	    "{\"provider\": \"p\", \"model\": \"a\", \"input\": 0.1,"
	    " \"output\": 1, \"cache_read\": 0.000001},"
	    "{\"provider\": \"p\", \"model\": \"b\", \"input\": 0.000001,"
	    " \"output\": null},"
	    "{\"provider\": \"p\", \"model\": \"c\", \"input\": 0,"
	    " \"output\": 1000000}]}";
	struct prices_count count = import(first, "import");

	cr_expect_eq(count.added, 2);
	count = import(first, "import");
	cr_expect_eq(count.unchanged, 2);
	cr_expect_eq(count.added + count.changed, 0);
	count = import(second, "import");
	cr_expect_eq(count.added, 1);
	cr_expect_eq(count.changed, 1);
	cr_expect_eq(count.unchanged, 1);
	check("count(*) = 2 and count(valid_to) = 1 and"
	      " max(valid_to) = max(valid_from)"
	      " from minuted.prices where model = 'a'");
	check("input = 100000 and cache_read = 1 from minuted.prices"
	      " where model = 'a' and valid_to is null");
	check("input = 1 and output is null from minuted.prices"
	      " where model = 'b'");
	check("output = 1000000000000 from minuted.prices where model = 'c'");
}

Test(prices, the_built_in_list_leaves_alone_what_others_set)
{
	static const char cheap[] =
	    "{\"prices\": [{\"provider\": \"openai\", \"model\": \"gpt-4o\","
	    " \"input\": 0, \"output\": 0}]}";

	cr_expect_eq(import(cheap, "import").changed, 1);
	cr_expect_eq(import(db_prices_json, "builtin").unchanged, 563);
	check("input = 0 from minuted.prices where model = 'gpt-4o'"
	      " and provider = 'openai' and valid_to is null");
}

static void
refused(const char *json, const char *why)
{
	struct prices_count count = { 0 };

	buf_reset(&problem);
	cr_expect_eq(prices_import(db, json, "import", &count, &problem),
	    ERR_INPUT, "%s", json);
	cr_expect_not_null(strstr(buf_str(&problem), why), "%s: %s", json,
	    buf_str(&problem));
	check("count(*) = 0 from minuted.prices where provider in ('p', 'q')");
}

#define GOOD "{\"provider\":\"q\",\"model\":\"m\",\"input\":1,\"output\":1}"

Test(prices, a_mistake_is_named_and_nothing_is_imported)
{
	refused("", "not a price list");
	refused("{\"prices\": [", "not a price list");
	refused("[]", "prices: has to be an array");
	refused("{\"prices\": 1}", "prices: has to be an array");
	refused("{\"prices\": [" GOOD ", 7]}", "entry 1, entry: ");
	refused("{\"prices\": [" GOOD ", {}]}", "entry 1, provider: ");
	refused("{\"prices\": [" GOOD ", {\"provider\": \"\"}]}",
	    "entry 1, provider: ");
	refused("{\"prices\": [{\"provider\": \"p\", \"input\": 1,"
		" \"output\": 1}]}",
	    "entry 0, model: ");
	refused("{\"prices\": [{\"provider\": \"p\", \"model\": \"m\","
		" \"output\": 1}]}",
	    "entry 0, input: ");
	refused("{\"prices\": [{\"provider\": \"p\", \"model\": \"m\","
		" \"input\": \"1\", \"output\": 1}]}",
	    "entry 0, input: ");
	refused("{\"prices\": [{\"provider\": \"p\", \"model\": \"m\","
		" \"input\": 1, \"output\": -1}]}",
	    "entry 0, output: ");
	refused("{\"prices\": [{\"provider\": \"p\", \"model\": \"m\","
		" \"input\": 1, \"output\": 1, \"cache_write\": 1000001}]}",
	    "entry 0, cache_write: ");
	refused("{\"prices\": [" GOOD ", " GOOD "]}",
	    "entry 1, model: is listed twice");
	refused("{\"prices\": [{\"provider\": \"p\\u0000\", \"model\": \"m\","
		" \"input\": 1, \"output\": 1}]}",
	    "not a price list");
}

Test(prices, a_database_that_is_away_is_no_problem_of_the_list)
{
	struct db *nowhere =
	    scratch_connect("host=/nonexistent dbname=x user=x", 1000);
	struct prices_count count;

	cr_expect_eq(prices_import(nowhere, "{}", "import", &count, &problem),
	    ERR_BUSY);
	cr_expect_str_eq(buf_str(&problem), "");
	db_free(nowhere);
}
