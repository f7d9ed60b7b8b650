/*
 * test_listener.c - the shared socket, and descriptors that change hands.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "process/listener.h"

static void
with_directory(void (*body)(const char *path))
{
	char dir[] = "/tmp/listener-XXXXXX";
	struct buf path;

	cr_assert_not_null(mkdtemp(dir));
	buf_init(&path, 256);
	buf_addf(&path, "%s/socket", dir);
	body(buf_str(&path));
	(void)unlink(buf_str(&path));
	(void)rmdir(dir);
	buf_fini(&path);
}

static void
mode_is_0660(const char *path)
{
	struct stat status;
	int fd = -1;

	cr_assert_eq(listener_open(path, "", &fd), OK);
	cr_assert_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0660);
	(void)close(fd);
}

Test(listener, the_socket_is_for_owner_and_group_only)
{
	with_directory(mode_is_0660);
}

static void
second_is_refused(const char *path)
{
	int first = -1;
	int second = -1;

	cr_assert_eq(listener_open(path, "", &first), OK);
	cr_expect_eq(listener_open(path, "", &second), ERR_CONFLICT);
	(void)close(first);
	cr_expect_eq(listener_open(path, "", &second), OK);
	(void)close(second);
}

Test(listener, a_path_in_use_is_refused_and_a_stale_one_taken_over)
{
	with_directory(second_is_refused);
}

static void
bad_group_is_refused(const char *path)
{
	int fd = -1;

	cr_expect_eq(listener_open(path, "no-such-group", &fd), ERR_INPUT);
	cr_expect_neq(access(path, F_OK), 0);
}

Test(listener, an_unknown_group_is_refused_and_nothing_is_left)
{
	with_directory(bad_group_is_refused);
}

Test(listener, a_path_that_does_not_fit_is_refused)
{
	char path[200];
	int fd = -1;

	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = 'a';
	path[sizeof(path) - 1] = '\0';
	cr_expect_eq(listener_open(path, "", &fd), ERR_INPUT);
	cr_expect_eq(listener_open("", "", &fd), ERR_INPUT);
}

Test(listener, a_descriptor_arrives_with_what_waits_in_it)
{
	int way[2];
	int pair[2];
	int arrived = -1;
	char byte = '\0';

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, way), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_assert_eq(write(pair[0], "x", 1), 1);
	cr_expect_eq(listener_receive_fd(way[1], &arrived), ERR_MISSING);
	cr_assert_eq(listener_send_fd(way[0], pair[1]), OK);
	(void)close(pair[1]);
	cr_assert_eq(listener_receive_fd(way[1], &arrived), OK);
	cr_assert_eq(read(arrived, &byte, 1), 1);
	cr_expect_eq(byte, 'x');
	(void)close(arrived);
	(void)close(pair[0]);
	(void)close(way[0]);
	(void)close(way[1]);
}
