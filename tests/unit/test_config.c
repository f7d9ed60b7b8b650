/*
 * test_config.c - the settings: every mistake named, secrets kept.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config_file.h"
#include "config/config_table.h"
#include "config/config_value.h"
#include "failing.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define GOOD   "DATABASE_URL=postgresql://w@/m\nJWT_SECRET=" SECRET "\n"

static char path[] = "/tmp/test_config.XXXXXX";
static struct buf problems;
static struct config *config;

static void
set_up(void)
{
	(void)clearenv();
	buf_init(&problems, 100000);
}

static void
tear_down(void)
{
	config_free(config);
	buf_fini(&problems);
	(void)unlink(path);
}

TestSuite(config, .init = set_up, .fini = tear_down);

static void
write_bytes(const char *text, size_t len, mode_t mode)
{
	int fd;

	memcpy(path, "/tmp/test_config.XXXXXX", sizeof(path));
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	cr_assert_eq(fchmod(fd, mode), 0);
	(void)close(fd);
}

static enum err
load(const char *text)
{
	enum err err;

	write_bytes(text, strlen(text), 0600);
	config_free(config);
	buf_reset(&problems);
	err = config_load(path, &problems, &config);
	cr_expect_eq(err == OK, config != NULL);
	cr_expect_eq(err == OK, problems.len == 0);
	(void)unlink(path);
	return err;
}

static void
expect_good(const char *text)
{
	char all[8192];

	(void)snprintf(all, sizeof(all), "%s%s", GOOD, text);
	cr_assert_eq(load(all), OK, "%s: %s", text, buf_str(&problems));
}

/* text, after what is required, gives one problem line that holds expected. */
static void
expect_problem(const char *text, const char *expected)
{
	char all[8192];
	const char *line;

	(void)snprintf(all, sizeof(all), "%s%s", GOOD, text);
	cr_assert_eq(load(all), ERR_INPUT, "%s", text);
	line = buf_str(&problems);
	cr_expect_not_null(strstr(line, expected), "%s: %s", text, line);
	cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1,
	    "%s: one line, not %s", text, line);
}

Test(config, the_table_is_in_alphabetical_order_and_complete)
{
	for (size_t i = 0; i < config_options_len; i++) {
		const struct config_option *option = &config_options[i];

		cr_expect(option->help[0] != '\0', "%s", option->name);
		cr_expect_leq(option->min, option->max, "%s", option->name);
		cr_expect_lt((int)option->kind, CONFIG_KIND_COUNT);
		if (i > 0)
			cr_expect_lt(strcmp(option[-1].name, option->name), 0,
			    "%s", option->name);
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(option->offset, config_options[j].offset,
			    "%s and %s share a field", option->name,
			    config_options[j].name);
	}
}

Test(config, defaults_fill_what_is_not_set)
{
	expect_good("");
	cr_expect_str_eq(config->database_url, "postgresql://w@/m");
	cr_expect_str_eq(config->database_owner_url, "");
	cr_expect_str_eq(config->socket, "./var/minuted.sock");
	cr_expect_str_eq(config->socket_group, "");
	cr_expect_str_eq(config->spool_dir, "./var/spool");
	cr_expect_str_eq(config->public_url, "");
	cr_expect_eq(config->workers, 0);
	cr_expect_eq(config->threads, 8);
	cr_expect_eq(config->connections_max, 20000);
	cr_expect_eq(config->drain_ms, 30000);
	cr_expect_str_eq(config->jwt_secret, SECRET);
	cr_expect_str_eq(config->jwt_secret_old, "");
	cr_expect_eq(config->jwt_expires_ms, 15 * 60000);
	cr_expect_eq(config->refresh_expires_ms, INT64_C(30) * 86400000);
	cr_expect_eq(config->password_min, 8);
	cr_expect_eq(config->auth_stale_ms, 3600000);
	cr_expect_str_eq(config->cors_origin, "");
	cr_expect_eq(config->body_max, 8 * 1024 * 1024);
}

Test(config, defaults_of_providers_limits_and_postgresql)
{
	expect_good("");
	cr_expect_str_eq(config->openai_api_key, "");
	cr_expect_str_eq(config->openai_base_url, "https://api.openai.com/v1");
	cr_expect_str_eq(config->openai_models, "");
	cr_expect_str_eq(config->default_model, "");
	cr_expect_str_eq(config->provider_allow, "");
	cr_expect_eq(config->connect_ms, 10000);
	cr_expect_eq(config->first_byte_ms, 120000);
	cr_expect_eq(config->idle_ms, 60000);
	cr_expect_eq(config->total_ms, 30 * 60000);
	cr_expect_eq(config->client_stall_ms, 30000);
	cr_expect_eq(config->echo_pace_ms, 20);
	cr_expect_eq(config->streams_max, 10000);
	cr_expect_eq(config->rate_max, 50);
	cr_expect_eq(config->rate_window_ms, 3600000);
	cr_expect_eq(config->spool_max, 1024 * 1024 * 1024);
	cr_expect_eq(config->rows_max, 1000);
	cr_expect_eq(config->statement_ms, 5000);
	cr_expect_eq(config->lock_ms, 2000);
	cr_expect_eq(config->retention_days, 0);
	cr_expect_eq(config->content_days, 0);
	cr_expect_eq(config->log_level, LOG_INFO);
	cr_expect_str_eq(config->path, path);
}

Test(config, without_a_file_the_environment_is_enough)
{
	cr_assert_eq(setenv("DATABASE_URL", "host=/run dbname=m", 1), 0);
	cr_assert_eq(setenv("JWT_SECRET", SECRET, 1), 0);
	cr_assert_eq(config_load(NULL, &problems, &config), OK, "%s",
	    buf_str(&problems));
	cr_expect_str_eq(config->database_url, "host=/run dbname=m");
	cr_expect_null(config->path);
}

Test(config, the_environment_beats_the_file_and_empty_is_not_set)
{
	(void)setenv("WORKERS", "3", 1);
	(void)setenv("THREADS", "", 1);
	expect_good("WORKERS=5\nTHREADS=6\nLOG_LEVEL=\nSOCKET=''\n");
	cr_expect_eq(config->workers, 3);
	cr_expect_eq(config->threads, 6);
	cr_expect_eq(config->log_level, LOG_INFO);
	cr_expect_str_eq(config->socket, "./var/minuted.sock");
}

Test(config, the_file_knows_comments_quotes_and_export)
{
	expect_good("# a comment\n"
		    "   \t\n"
		    "\t# another\r\n"
		    "export WORKERS=2\r\n"
		    "  THREADS = 4   # four\n"
		    "SPOOL_DIR=\"/a b#c 'd'\" # quoted\n"
		    "SOCKET='/run/\"x\"'\n"
		    "OPENAI_API_KEY=sk-a#b\n"
		    "DEFAULT_MODEL=# nothing\n"
		    "LOG_LEVEL=debug");
	cr_expect_eq(config->workers, 2);
	cr_expect_eq(config->threads, 4);
	cr_expect_str_eq(config->spool_dir, "/a b#c 'd'");
	cr_expect_str_eq(config->socket, "/run/\"x\"");
	cr_expect_str_eq(config->openai_api_key, "sk-a#b");
	cr_expect_str_eq(config->default_model, "");
	cr_expect_eq(config->log_level, LOG_DEBUG);
}

Test(config, broken_lines_are_named_by_number_and_not_shown)
{
	static const char *const bad[] = { "sk-hidden", "=hidden", "1A=hidden",
		"A B=hidden", "A-B=hidden", "WORKERS: hidden", "export",
		"WORKERS=\"hidden", "WORKERS='hidden'x", "WORKERS='hidden\"",
		"\xef\xbb\xbfWORKERS=hidden" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect_problem(bad[i], ": line 3 ");
		cr_expect_null(strstr(buf_str(&problems), "hidden"));
	}
}

Test(config, names_that_nobody_reads_are_mistakes)
{
	expect_problem("WORKER=3\n", "WORKER: is no setting");
	expect_problem("workers=3\n", "workers: is no setting");
	expect_problem("_API_KEY=3\n", "_API_KEY: is no setting");
	expect_problem("WORKERS=3\nA=\n", "line 4");
	expect_problem("WORKERS=3\n\nWORKERS=4\n", "WORKERS: is given twice");
	cr_expect_not_null(strstr(buf_str(&problems), "lines 3 and 5"));
}

Test(config, every_mistake_is_one_line_of_one_run)
{
	int lines = 0;

	cr_assert_eq(load("WORKERS=many\nTHREADS=0\nnonsense\nFOO=1\n"
			  "JWT_SECRET=short\nLOG_LEVEL=loud\nBODY_MAX=1x\n"),
	    ERR_INPUT);
	for (const char *at = buf_str(&problems); *at != '\0'; at++)
		lines += *at == '\n';
	cr_expect_eq(lines, 8, "%s", buf_str(&problems));
	cr_expect_not_null(strstr(buf_str(&problems),
	    "WORKERS: \"many\" is not valid, expected a whole number from 0 "
	    "to 256\n"));
	cr_expect_not_null(strstr(buf_str(&problems),
	    "THREADS: 0 is out of range, expected a whole number from 1 to "
	    "256\n"));
	cr_expect_not_null(strstr(buf_str(&problems),
	    "JWT_SECRET: has 5 bytes, expected at least 32\n"));
	cr_expect_not_null(strstr(buf_str(&problems),
	    "DATABASE_URL: is not set, expected "));
	cr_expect_not_null(strstr(buf_str(&problems),
	    "LOG_LEVEL: \"loud\" is not valid, expected error, warn, info or "
	    "debug\n"));
	cr_expect_null(strstr(buf_str(&problems), "short"));
}

Test(config, numbers_are_read_whole)
{
	static const char *const bad[] = { "-1", "+1", "1.0", "1e1", "0x1",
		"1 0", "one", "257", "9223372036854775808",
		"99999999999999999999999" };
	char line[100];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(line, sizeof(line), "WORKERS=%s\n", bad[i]);
		expect_problem(line, "WORKERS: ");
	}
	expect_good("WORKERS=0256\n");
	cr_expect_eq(config->workers, 256);
}

Test(config, durations_and_sizes_have_units_and_ranges)
{
	expect_good("RATE_LIMIT_WINDOW=90\nECHO_PACE=0\nLOCK_TIMEOUT=1ms\n"
		    "SPOOL_MAX=2T\nBODY_MAX=2048\nJWT_EXPIRES_IN=7d\n");
	cr_expect_eq(config->rate_window_ms, 90000, "a bare number: seconds");
	cr_expect_eq(config->echo_pace_ms, 0);
	cr_expect_eq(config->lock_ms, 1);
	cr_expect_eq(config->spool_max, INT64_C(2) << 40);
	cr_expect_eq(config->body_max, 2048);
	cr_expect_eq(config->jwt_expires_ms, INT64_C(7) * 86400000);
	expect_problem("LOCK_TIMEOUT=0\n", "from 1ms to 1h");
	expect_problem("LOCK_TIMEOUT=1 h\n", "expected a duration such as");
	expect_problem("BODY_MAX=1000\n", "from 1k to 1g");
	expect_problem("BODY_MAX=m\n", "expected a size such as");
	expect_problem("BODY_MAX=1mb\n", "BODY_MAX: ");
	expect_problem("SPOOL_MAX=9999999999999t\n", "SPOOL_MAX: ");
}

Test(config, urls_have_a_host_and_no_user)
{
	static const char *const bad[] = { "example.org", "ftp://h", "http://",
		"https:///v1", "https://u@h/v1", "https://u:p@h", "http://h:0",
		"http://h:65536", "http://h:1x", "http://h:", "http://h/a b",
		"http://h/?q", "http://h/#f", "http://[::1", "http://[]/",
		"http://[x]/", "http://h\xc3\xa9/" };
	char line[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(line, sizeof(line), "OPENAI_BASE_URL='%s'\n",
		    bad[i]);
		expect_problem(line, "OPENAI_BASE_URL: is not valid");
	}
	expect_good("OPENAI_BASE_URL=http://[::1]:11434/v1//\n"
		    "PUBLIC_URL=https://api.example.org/\n");
	cr_expect_str_eq(config->openai_base_url, "http://[::1]:11434/v1");
	cr_expect_str_eq(config->public_url, "https://api.example.org");
}

Test(config, lists_lose_blanks_and_empty_members)
{
	expect_good("CORS_ORIGIN=' https://a.b ,, http://localhost:3000,'\n"
		    "PROVIDER_ALLOW=localhost:11434, 10.0.0.1,[::1]:80\n"
		    "OPENAI_MODELS=gpt-4o, org/m:free ,\n");
	cr_expect_str_eq(config->cors_origin,
	    "https://a.b,http://localhost:3000");
	cr_expect_str_eq(config->provider_allow,
	    "localhost:11434,10.0.0.1,[::1]:80");
	cr_expect_str_eq(config->openai_models, "gpt-4o,org/m:free");
	expect_problem("CORS_ORIGIN=*\n", "CORS_ORIGIN: is not valid");
	expect_problem("CORS_ORIGIN=null\n", "CORS_ORIGIN: is not valid");
	expect_problem("CORS_ORIGIN=https://a.b/\n", "CORS_ORIGIN: ");
	expect_problem("CORS_ORIGIN=https://a.b,https://\n", "CORS_ORIGIN: ");
	expect_problem("PROVIDER_ALLOW=http://h\n", "PROVIDER_ALLOW: ");
	expect_problem("PROVIDER_ALLOW=h:x\n", "PROVIDER_ALLOW: ");
	expect_problem("OPENAI_MODELS=a b\n", "OPENAI_MODELS: ");
}

Test(config, a_database_is_a_uri_or_pairs)
{
	cr_expect_eq(load("DATABASE_URL=minuted\nJWT_SECRET=" SECRET),
	    ERR_INPUT);
	cr_expect_not_null(strstr(buf_str(&problems),
	    "DATABASE_URL: is not valid, expected postgresql://"));
	cr_expect_eq(load("DATABASE_URL=postgres://h/d\nJWT_SECRET=" SECRET),
	    OK);
}

Test(config, texts_are_plain_and_of_limited_length)
{
	char line[6000] = "SOCKET=";

	expect_problem("SOCKET=/a\x01\n", "SOCKET: holds control characters");
	expect_problem("SOCKET=/a\xff\n", "SOCKET: holds control characters");
	expect_problem("WORKERS='1\x7f'\n", "WORKERS: holds control");
	expect_problem("MISTRAL_API_KEY='a\tb'\n",
	    "MISTRAL_API_KEY: holds control");
	memset(line + 7, 'x', 107);
	expect_good(line);
	memset(line + 7, 'x', 108);
	expect_problem(line, "SOCKET: has 108 bytes, expected at most 107");
	memset(line + 7, 'x', 5000);
	memcpy(line, "A_API_KEY=", 10);
	expect_problem(line, "A_API_KEY: has 4997 bytes");
}

Test(config, weak_secrets_are_refused)
{
	expect_problem("JWT_SECRET_OLD=short\n", "JWT_SECRET_OLD: has 5 bytes");
	expect_good("JWT_SECRET_OLD=" SECRET "\n");
	cr_expect_str_eq(config->jwt_secret_old, SECRET);
	(void)setenv("JWT_SECRET", "0123456789abcdef0123456789abcde", 1);
	expect_problem("", "JWT_SECRET: has 31 bytes, expected at least 32");
}

/* Finds "#NAME=value" in the example and cuts the value out. */
static bool
example_value(const char *example, const char *name, char out[200])
{
	char needle[100];
	const char *at;
	size_t len;

	(void)snprintf(needle, sizeof(needle), "\n#%s=", name);
	at = strstr(example, needle);
	if (at == NULL)
		return false;
	at += strlen(needle);
	len = strcspn(at, "\n");
	cr_assert_lt(len, 200);
	memcpy(out, at, len);
	out[len] = '\0';
	return true;
}

Test(config, the_example_shows_every_setting_and_its_secret_is_refused)
{
	static char example[20000];
	char value[200];
	char line[300];
	int fd = open("deploy/minuted.env.example", O_RDONLY);

	cr_assert_geq(fd, 0, "run from the top of the tree");
	cr_assert_gt(read(fd, example, sizeof(example) - 1), 0);
	(void)close(fd);
	for (size_t i = 0; i < config_options_len; i++) {
		const struct config_option *option = &config_options[i];

		cr_assert(example_value(example, option->name, value), "%s",
		    option->name);
		if ((option->flags & CONFIG_REQUIRED) == 0)
			cr_expect_str_eq(value, option->fallback, "%s",
			    option->name);
	}
	cr_assert(example_value(example, "JWT_SECRET", value));
	(void)setenv("JWT_SECRET", value, 1);
	expect_problem("", "JWT_SECRET: is the value of the example");
	(void)unsetenv("JWT_SECRET");
	(void)snprintf(line, sizeof(line), "JWT_SECRET_OLD=%s\n", value);
	expect_problem(line, "JWT_SECRET_OLD: is the value of the example");
}

static enum err
load_with_mode(const char *text, mode_t mode)
{
	enum err err;

	write_bytes(text, strlen(text), mode);
	config_free(config);
	buf_reset(&problems);
	err = config_load(path, &problems, &config);
	(void)unlink(path);
	return err;
}

Test(config, a_file_with_secrets_is_not_for_everybody)
{
	static const mode_t good[] = { 0600, 0640, 0400, 0440, 0700 };
	static const mode_t bad[] = { 0644, 0604, 0660, 0620, 0602, 0666, 0777,
		0650, 0601 };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect_eq(load_with_mode(GOOD, good[i]), OK, "%04o",
		    good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(load_with_mode(GOOD, bad[i]), ERR_INPUT, "%04o",
		    bad[i]);
		cr_expect_not_null(strstr(buf_str(&problems),
		    "holds secrets and has mode 0"));
	}
	(void)setenv("JWT_SECRET", SECRET, 1);
	(void)setenv("DATABASE_URL", "postgresql:///m", 1);
	cr_expect_eq(load_with_mode("WORKERS=1\nJWT_SECRET=\n", 0644), OK);
	cr_expect_eq(load_with_mode("MY_API_KEY=x\n", 0644), ERR_INPUT);
	cr_expect_eq(load_with_mode("DATABASE_URL=a=b\n", 0644), ERR_INPUT);
}

Test(config, a_file_that_cannot_be_read_is_named)
{
	char large[100];

	(void)setenv("JWT_SECRET", SECRET, 1);
	(void)setenv("DATABASE_URL", "postgresql:///m", 1);
	cr_expect_eq(config_load("/nowhere/x", &problems, &config), ERR_INPUT);
	cr_expect_str_eq(buf_str(&problems),
	    "/nowhere/x: cannot be read: No such file or directory\n");
	buf_reset(&problems);
	cr_expect_eq(config_load("/tmp", &problems, &config), ERR_INPUT);
	cr_expect_eq(strncmp(buf_str(&problems), "/tmp: is no settings", 20),
	    0);
	cr_expect_eq(load_with_mode("", 0600), OK, "an empty one is legal");
	write_bytes("A=1\0B=2\n", 8, 0600);
	buf_reset(&problems);
	config_free(config);
	cr_expect_eq(config_load(path, &problems, &config), ERR_INPUT);
	cr_expect_not_null(strstr(buf_str(&problems), "holds a NUL byte"));
	(void)unlink(path);
	memset(large, '#', sizeof(large));
	write_bytes(large, sizeof(large), 0600);
	cr_assert_eq(truncate(path, CONFIG_FILE_MAX + 1), 0);
	buf_reset(&problems);
	cr_expect_eq(config_load(path, &problems, &config), ERR_INPUT);
	cr_expect_not_null(strstr(buf_str(&problems), "is no settings file"));
}

Test(config, a_fifo_does_not_hang_the_start)
{
	memcpy(path, "/tmp/test_config.fifo..", sizeof(path));
	(void)unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(config_load(path, &problems, &config), ERR_INPUT);
	cr_expect_not_null(strstr(buf_str(&problems), "is no settings file"));
}

Test(config, provider_keys_come_from_either_place)
{
	(void)setenv("MISTRAL_API_KEY", "from-env", 1);
	(void)setenv("EMPTY_API_KEY", "", 1);
	expect_good("MISTRAL_API_KEY=from-file\nGROQ_API_KEY=groq\n"
		    "EMPTY_API_KEY=filled\nOPENAI_API_KEY=sk\n");
	cr_expect_str_eq(config_secret(config, "MISTRAL_API_KEY"), "from-env");
	cr_expect_str_eq(config_secret(config, "GROQ_API_KEY"), "groq");
	cr_expect_str_eq(config_secret(config, "EMPTY_API_KEY"), "filled");
	cr_expect_str_eq(config_secret(config, "OPENAI_API_KEY"), "sk");
	cr_expect_null(config_secret(config, "OTHER_API_KEY"));
	cr_expect_null(config_secret(config, "JWT_SECRET"));
	cr_expect_null(config_secret(config, "DATABASE_URL"));
	cr_expect_null(config_secret(config, ""));
	cr_expect_null(config_secret(config, NULL));
}

Test(config, what_is_printed_shows_sources_and_no_secret)
{
	struct buf out;
	const char *text;

	(void)setenv("WORKERS", "3", 1);
	(void)setenv("GROQ_API_KEY", "groq-hidden", 1);
	expect_good("DRAIN_TIMEOUT=90\nSPOOL_MAX=1536m\nECHO_PACE=0\n"
		    "OPENAI_API_KEY=sk-hidden\n");
	buf_init(&out, 100000);
	config_print(config, &out);
	text = buf_str(&out);
	cr_expect_not_null(strstr(text, "WORKERS                     3 "
					"(environment)\n"));
	cr_expect_not_null(strstr(text, " 90s (file)\n"));
	cr_expect_not_null(strstr(text, " 1536m (file)\n"));
	cr_expect_not_null(strstr(text, "ECHO_PACE                   0 "
					"(file)\n"));
	cr_expect_not_null(strstr(text, " info (default)\n"));
	cr_expect_not_null(strstr(text, "JWT_SECRET                  set "
					"(file)\n"));
	cr_expect_not_null(strstr(text, "JWT_SECRET_OLD              not set "
					"(default)\n"));
	cr_expect_not_null(strstr(text, "GROQ_API_KEY                set "
					"(environment)\n"));
	cr_expect_not_null(strstr(text, "CORS_ORIGIN                 \"\" "
					"(default)\n"));
	cr_expect_null(strstr(text, SECRET));
	cr_expect_null(strstr(text, "hidden"));
	cr_expect_null(strstr(text, "postgresql:"));
	buf_fini(&out);
}

Test(config, what_is_printed_is_read_back_as_the_same)
{
	struct buf out;
	int64_t before;
	int64_t after;

	expect_good("");
	buf_init(&out, 1000);
	for (size_t i = 0; i < config_options_len; i++) {
		const struct config_option *option = &config_options[i];

		if (config_kind_is_text(option->kind))
			continue;
		buf_reset(&out);
		config_value_text(option, config, &out);
		memcpy(&before, (char *)config + option->offset,
		    sizeof(before));
		cr_assert_eq(config_value_set(option, buf_str(&out), config,
				 &problems),
		    OK, "%s: %s", option->name, buf_str(&problems));
		memcpy(&after, (char *)config + option->offset, sizeof(after));
		cr_expect_eq(before, after, "%s", option->name);
	}
	buf_fini(&out);
}

Test(config, the_table_is_json_for_the_readme)
{
	struct buf out;

	buf_init(&out, 100000);
	config_table_json(&out);
	cr_expect(buf_ok(&out));
	cr_expect_eq(strncmp(buf_str(&out),
			 "[{\"name\":\"AUTH_STALE\","
			 "\"kind\":\"duration\",\"default\":\"1h\",\"secret\":"
			 "false,"
			 "\"required\":false,\"help\":\"",
			 93),
	    0, "%s", buf_str(&out));
	cr_expect_not_null(strstr(buf_str(&out),
	    "{\"name\":\"JWT_SECRET\","
	    "\"kind\":\"string\",\"default\":\"\",\"secret\":true,"
	    "\"required\":true,"));
	buf_fini(&out);
}

/* Fails the n-th allocation, for all n: no leak, no crash, no half result. */
Test(config, want_of_memory_is_told_wherever_it_comes)
{
	long passes = 0;
	bool refused = true;
	enum err err;

	(void)setenv("GROQ_API_KEY", "groq", 1);
	write_bytes(GOOD "MY_API_KEY=x\nWORKERS=2\n",
	    sizeof(GOOD "MY_API_KEY=x\nWORKERS=2\n") - 1, 0600);
	for (; refused && passes < 1000; passes++) {
		config_free(config);
		config = NULL;
		failing_after(passes);
		err = config_load(path, &problems, &config);
		refused = failing_stop();
		cr_assert_eq(err, refused ? ERR_MEMORY : OK, "%ld", passes);
		cr_assert_eq(config != NULL, !refused);
	}
	cr_expect_gt(passes, 30);
	cr_expect_not(refused);
}

Test(config, mistakes_that_do_not_fit_are_still_mistakes)
{
	struct buf none;

	buf_init(&none, 0);
	cr_expect_eq(config_load(NULL, &none, &config), ERR_INPUT);
	cr_expect_null(config);
	buf_fini(&none);
}
