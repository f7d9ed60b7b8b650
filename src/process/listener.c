/*
 * listener.c - the listening socket, and descriptors that change hands.
 */
#include "process/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

/* nginx connects in bursts; the kernel caps it at net.core.somaxconn. */
#define BACKLOG        4096
#define SOCKET_MODE    0660
#define TEMP_SUFFIX    ".new"
#define SERVED_WAIT_US 2000000
#define SERVED_POLL_MS 10

static enum err
address_of(const char *path, const char *suffix, struct sockaddr_un *out)
{
	size_t len = strlen(path);
	size_t suffix_len = strlen(suffix);

	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	if (len == 0 || len + suffix_len >= sizeof(out->sun_path))
		return ERR_INPUT;
	memcpy(out->sun_path, path, len);
	memcpy(out->sun_path + len, suffix, suffix_len + 1);
	return OK;
}

static bool
somebody_answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answered;

	if (fd < 0)
		return false;
	answered = connect(fd, (const struct sockaddr *)address,
		       sizeof(*address)) == 0;
	(void)close(fd); /* only a probe */
	return answered;
}

/* Workers of a supervisor that was killed leave the socket within moments. */
static bool
is_served(const struct sockaddr_un *address)
{
	const struct timespec pause = { .tv_nsec = SERVED_POLL_MS * 1000000L };
	int64_t until_us = clock_mono_us() + SERVED_WAIT_US;

	while (somebody_answers(address)) {
		if (clock_mono_us() >= until_us)
			return true;
		(void)nanosleep(&pause, NULL); /* a shorter one is fine */
	}
	return false;
}

static enum err
give_to_group(const char *path, const char *group)
{
	struct group entry;
	struct group *found = NULL;
	char text[4096];

	if (group == NULL || group[0] == '\0')
		return OK;
	if (getgrnam_r(group, &entry, text, sizeof(text), &found) != 0 ||
	    found == NULL) {
		log_error("SOCKET_GROUP: there is no group \"%s\"", group);
		return ERR_INPUT;
	}
	if (chown(path, (uid_t)-1, found->gr_gid) != 0) {
		log_warn_errno("SOCKET_GROUP: cannot give %s to group %s", path,
		    group);
		return ERR_SYSTEM;
	}
	return OK;
}

static enum err
bind_and_publish(int fd, const struct sockaddr_un *temp, const char *path,
    const char *group)
{
	(void)unlink(temp->sun_path); /* left by a start that was killed */
	if (bind(fd, (const struct sockaddr *)temp, sizeof(*temp)) != 0 ||
	    chmod(temp->sun_path, SOCKET_MODE) != 0)
		return ERR_SYSTEM;
	if (give_to_group(temp->sun_path, group) != OK) {
		(void)unlink(temp->sun_path); /* not served */
		return ERR_INPUT;
	}
	if (listen(fd, BACKLOG) != 0 || rename(temp->sun_path, path) != 0)
		return ERR_SYSTEM;
	return OK;
}

enum err
listener_open(const char *path, const char *group, int *fd)
{
	struct sockaddr_un temp;
	struct sockaddr_un final;
	enum err err;
	int made;

	if (address_of(path, TEMP_SUFFIX, &temp) != OK ||
	    address_of(path, "", &final) != OK) {
		log_error("SOCKET: \"%s\" is empty or longer than %zu bytes",
		    path, sizeof(temp.sun_path) - sizeof(TEMP_SUFFIX));
		return ERR_INPUT;
	}
	if (is_served(&final)) {
		log_error("SOCKET: another process serves %s", path);
		return ERR_CONFLICT;
	}
	made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made < 0) {
		log_warn_errno("SOCKET: cannot make a socket");
		return ERR_SYSTEM;
	}
	err = bind_and_publish(made, &temp, path, group);
	if (err != OK) {
		if (err == ERR_SYSTEM)
			log_warn_errno("SOCKET: cannot bind %s", path);
		(void)close(made); /* the error is logged */
		return err;
	}
	*fd = made;
	return OK;
}

/* One byte of data carries the descriptor: some must. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

enum err
listener_send_fd(int socket, int fd)
{
	char byte = 'c';
	union control control;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;

	memset(&control, 0, sizeof(control));
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? OK : ERR_SYSTEM;
}

enum err
listener_receive_fd(int socket, int *fd)
{
	char byte;
	union control control;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;

	if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return ERR_MISSING;
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS)
		return ERR_MISSING;
	memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	return OK;
}
