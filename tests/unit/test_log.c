/*
 * test_log.c - lines on stderr that no input can forge.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int saved_stderr = -1;
static char path[] = "/tmp/test_log.XXXXXX";
static char text[100000];

static void
capture(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	saved_stderr = dup(STDERR_FILENO);
	cr_assert_geq(dup2(fd, STDERR_FILENO), 0);
	(void)close(fd);
}

/* What was written since capture(). */
static const char *
captured(void)
{
	int fd = open(path, O_RDONLY);
	ssize_t len;

	cr_assert_geq(dup2(saved_stderr, STDERR_FILENO), 0);
	len = read(fd, text, sizeof(text) - 1);
	cr_assert_geq(len, 0);
	text[len] = '\0';
	(void)close(fd);
	(void)unlink(path);
	return text;
}

/* The line after its time, which is checked for its shape. */
static const char *
after_time(const char *line)
{
	cr_assert_eq(strncmp(line, "{\"time\":\"20", 11), 0, "%s", line);
	cr_assert_eq(strncmp(line + 35, "Z\",", 3), 0, "%s", line);
	return line + 38;
}

Test(log, a_line_is_an_object_of_time_level_role_and_message)
{
	capture();
	log_setup(LOG_INFO, "worker 1");
	log_info("started with %d threads", 8);
	cr_expect_str_eq(after_time(captured()),
	    "\"level\":\"info\",\"role\":\"worker 1\","
	    "\"message\":\"started with 8 threads\"}\n");
}

Test(log, levels_above_the_most_are_silent)
{
	const char *lines;

	capture();
	log_setup(LOG_WARN, "test");
	log_error("e");
	log_warn("w");
	log_info("i");
	log_debug("d");
	log_fields(LOG_INFO, "f", NULL, 0);
	lines = captured();
	cr_expect_not_null(strstr(lines, "\"level\":\"error\""));
	cr_expect_not_null(strstr(lines, "\"level\":\"warn\""));
	cr_expect_null(strstr(lines, "\"level\":\"info\""));
	cr_expect_null(strstr(lines, "\"level\":\"debug\""));
}

Test(log, errno_is_appended_and_preserved)
{
	const char *line;

	capture();
	errno = ENOSPC;
	log_warn_errno("%s", "spool");
	cr_expect_eq(errno, ENOSPC);
	log_error("x");
	cr_expect_eq(errno, ENOSPC);
	line = captured();
	cr_expect_not_null(strstr(line,
	    "\"message\":\"spool: No space left on device\"}\n"));
}

Test(log, fields_are_text_or_numbers)
{
	const struct log_field fields[] = { { "path", "/v1", 0 },
		{ "status", NULL, 200 }, { "least", NULL, INT64_MIN } };

	capture();
	log_fields(LOG_ERROR, "request", fields, 3);
	cr_expect_not_null(strstr(captured(),
	    "\"message\":\"request\",\"path\":\"/v1\",\"status\":200,"
	    "\"least\":-9223372036854775808}\n"));
}

Test(log, no_text_can_forge_a_line)
{
	const struct log_field fields[] = { { "agent",
	    "a\"b\\c\nd\re\tf\x01g\x7fh\xc2\x85i\xffj\xe2\x82k\xc3\xa9", 0 } };
	const char *line;

	capture();
	log_fields(LOG_ERROR, "m\"},{\"time\":\n", fields, 1);
	line = captured();
	cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1);
	cr_expect_not_null(strstr(line,
	    "\"message\":\"m\\\"},{\\\"time\\\":\\n\""));
	cr_expect_not_null(strstr(line,
	    "\"agent\":\"a\\\"b\\\\c\\nd\\re\\tf\\u0001g\\u007fh\\u0085i"
	    "\\ufffdj\\ufffd\\ufffdk\xc3\xa9\"}\n"));
}

Test(log, a_long_line_is_cut_says_so_and_is_still_json)
{
	struct log_field fields[] = { { "long", NULL, 0 }, { "last", "x", 0 } };
	static const char end[] = "\xe2\x82\xac\",\"cut\":true}\n";
	char *large = malloc(30001);
	const char *line;
	size_t len;

	cr_assert_not_null(large);
	for (size_t i = 0; i < 30000; i += 3)
		memcpy(large + i, "\xe2\x82\xac", 3);
	large[30000] = '\0';
	fields[0].text = large;
	capture();
	log_fields(LOG_ERROR, "m", fields, 2);
	line = captured();
	len = strlen(line);
	cr_expect_leq(len, 8192);
	cr_expect_gt(len, 8100);
	cr_expect_str_eq(line + len - strlen(end), end);
	cr_expect_null(strstr(line, "\"last\""));
	free(large);
}

Test(log, every_length_of_text_gives_a_whole_object)
{
	struct log_field fields[] = { { "a", NULL, 0 }, { "number", NULL, 7 },
		{ "b", "\n\n\n\n", 0 } };
	char *large = malloc(8300);
	const char *line;
	size_t len;

	cr_assert_not_null(large);
	for (size_t size = 7900; size < 8250; size++) {
		memset(large, 'x', size);
		large[size] = '\0';
		fields[0].text = large;
		memcpy(path, "/tmp/test_log.XXXXXX", sizeof(path));
		capture();
		log_fields(LOG_ERROR, "m", fields, 3);
		line = captured();
		len = strlen(line);
		(void)close(saved_stderr);
		cr_assert_leq(len, 8192);
		cr_assert_eq(strcmp(line + len - 2, "}\n"), 0);
		cr_assert(strstr(line, "\"cut\":true}\n") != NULL ||
			  strstr(line, "\"b\":\"\\n\\n\\n\\n\"}\n") != NULL);
		/* An even number of quotes: no text was left open. */
		size_t quotes = 0;
		for (size_t i = 0; i < len; i++)
			quotes += line[i] == '"';
		cr_assert_eq(quotes % 2, 0);
	}
	free(large);
}

Test(log, a_long_message_is_cut_too)
{
	char *large = malloc(20001);
	const char *line;

	cr_assert_not_null(large);
	memset(large, 'x', 20000);
	large[20000] = '\0';
	capture();
	log_error("%s", large);
	line = captured();
	cr_expect_leq(strlen(line), 8192);
	cr_expect_str_eq(line + strlen(line) - 13, ",\"cut\":true}\n");
	free(large);
}

Test(log, the_role_is_cut_to_its_room)
{
	char role[200];

	memset(role, 'r', sizeof(role) - 1);
	role[sizeof(role) - 1] = '\0';
	capture();
	log_setup(LOG_INFO, role);
	log_info("m");
	cr_expect_not_null(strstr(captured(), "rrr\",\"message\":\"m\"}\n"));
}

Test(log, a_closed_stderr_harms_nobody)
{
	int fd = dup(STDERR_FILENO);

	(void)close(STDERR_FILENO);
	errno = ENOENT;
	log_error("nobody reads this");
	cr_expect_eq(errno, ENOENT);
	cr_assert_geq(dup2(fd, STDERR_FILENO), 0);
}
