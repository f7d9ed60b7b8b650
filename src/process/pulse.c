/*
 * pulse.c - whether the threads of a worker get on.
 */
#include "process/pulse.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define STAT_MAX       512
#define PATH_MAX_BYTES 4096

void
pulse_work(struct pulse *pulse, int64_t now_us)
{
	atomic_store_explicit(&pulse->since_us, now_us, memory_order_relaxed);
}

void
pulse_wait(struct pulse *pulse)
{
	atomic_store_explicit(&pulse->since_us, 0, memory_order_relaxed);
}

/* When a request thread last took a request, or could have. */
static int64_t
last_taken_us(const struct pulse_worker *worker, int64_t now_us)
{
	int64_t last_us = 0;

	for (size_t i = 0; i < worker->count; i++) {
		int64_t since_us = atomic_load(&worker->threads[i].since_us);

		if (since_us == 0)
			return now_us;
		if (since_us > last_us)
			last_us = since_us;
	}
	return worker->count == 0 ? now_us : last_us;
}

int64_t
pulse_last_us(const struct pulse_worker *worker, int64_t now_us)
{
	int64_t taken_us = last_taken_us(worker, now_us);
	int64_t last_us = now_us;

	if (worker->relay_since_us != 0 && worker->relay_since_us < last_us)
		last_us = worker->relay_since_us;
	if (now_us - taken_us > worker->patience_us &&
	    taken_us + worker->patience_us < last_us)
		last_us = taken_us + worker->patience_us;
	return last_us;
}

/* The state comes after the name, which is in brackets and may hold any. */
static bool
is_in_disk_sleep(const char *path)
{
	char text[STAT_MAX];
	const char *name_end;
	ssize_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false; /* the thread has ended */
	len = read(fd, text, sizeof(text) - 1);
	(void)close(fd); /* only read */
	if (len <= 0)
		return false;
	text[len] = '\0';
	name_end = strrchr(text, ')');
	return name_end != NULL && strncmp(name_end, ") D", 3) == 0;
}

bool
pulse_waits_for_disk(const char *tasks)
{
	DIR *dir = opendir(tasks);
	struct dirent *entry;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		struct buf path;

		if (entry->d_name[0] == '.')
			continue;
		buf_init(&path, PATH_MAX_BYTES);
		buf_addf(&path, "%s/%s/stat", tasks, entry->d_name);
		found = buf_ok(&path) && is_in_disk_sleep(buf_str(&path));
		buf_fini(&path);
	}
	(void)closedir(dir); /* only read */
	return found;
}
