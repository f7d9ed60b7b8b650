/*
 * config_file.c - reads the settings file.
 *
 * A line that is wrong is named by its number only: what it holds may be a
 * secret.
 */
#include "config/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config_value.h"

struct reader {
	const char *path;
	struct buf *problems;
	struct config_file *file;
	int line;
};

static void
complain(const struct reader *reader, const char *what)
{
	buf_addf(reader->problems, "%s: line %d %s\n", reader->path,
	    reader->line, what);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *
skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

static size_t
name_length(const char *at)
{
	if (*at >= '0' && *at <= '9')
		return 0;
	return strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			  "0123456789_");
}

static bool
is_end(const char *at)
{
	at = skip_blanks(at);
	return *at == '\0' || *at == '#';
}

/* Finds the value in the rest of a line, or says what is wrong. */
static const char *
find_value(const char **start, size_t *len)
{
	const char *at = skip_blanks(*start);
	const char *end;

	if (*at == '"' || *at == '\'') {
		end = strchr(at + 1, *at);
		if (end == NULL)
			return "opens a quote, expected its end on that line";
		if (!is_end(end + 1))
			return "goes on after its quotes, expected its end";
		*start = at + 1;
		*len = (size_t)(end - at - 1);
		return NULL;
	}
	/* The blank before a # belongs to the comment. */
	for (end = at; *end != '\0'; end++) {
		if (*end == '#' && (end == at || is_blank(end[-1])))
			break;
	}
	while (end > at && is_blank(end[-1]))
		end--;
	*start = at;
	*len = (size_t)(end - at);
	return NULL;
}

static struct config_entry *
find_entry(const struct config_file *file, const char *name)
{
	for (size_t i = 0; i < file->len; i++) {
		if (strcmp(file->entries[i].name, name) == 0)
			return &file->entries[i];
	}
	return NULL;
}

static enum err
make_room(struct config_file *file)
{
	size_t cap = file->cap == 0 ? 64 : file->cap * 2;
	struct config_entry *entries;

	if (file->len < file->cap)
		return OK;
	entries = reallocarray(file->entries, cap, sizeof(*entries));
	if (entries == NULL)
		return ERR_MEMORY;
	file->entries = entries;
	file->cap = cap;
	return OK;
}

/* Takes name and value, whatever the result. */
static enum err
add_entry(struct reader *reader, char *name, char *value)
{
	struct config_entry *twin;
	enum err err = ERR_MEMORY;

	if (name == NULL || value == NULL)
		goto out;
	twin = find_entry(reader->file, name);
	if (twin != NULL) {
		buf_addf(reader->problems,
		    "%.100s: is given twice (%s, lines %d and %d), expected "
		    "once\n",
		    name, reader->path, twin->line, reader->line);
		err = OK;
		goto out;
	}
	err = make_room(reader->file);
	if (err != OK)
		goto out;
	reader->file->entries[reader->file->len++] = (struct config_entry){
		.name = name, .value = value, .line = reader->line
	};
	return OK;
out:
	free(name);
	config_forget(value);
	return err;
}

static enum err
read_line(struct reader *reader, const char *line)
{
	const char *name = skip_blanks(line);
	const char *value;
	const char *wrong;
	size_t name_len;
	size_t value_len = 0;

	if (is_end(name))
		return OK;
	if (strncmp(name, "export ", 7) == 0)
		name = skip_blanks(name + 7);
	name_len = name_length(name);
	value = skip_blanks(name + name_len);
	if (name_len == 0 || *value != '=') {
		complain(reader, "is not NAME=value, expected one a line");
		return OK;
	}
	value++;
	wrong = find_value(&value, &value_len);
	if (wrong != NULL) {
		complain(reader, wrong);
		return OK;
	}
	return add_entry(reader, config_copy(name, name_len),
	    config_copy(value, value_len));
}

static enum err
read_lines(struct reader *reader, char *text)
{
	char *end;
	enum err err;

	while (*text != '\0') {
		end = strchrnul(text, '\n');
		reader->line++;
		if (*end == '\0')
			return read_line(reader, text);
		*end = '\0';
		err = read_line(reader, text);
		if (err != OK)
			return err;
		text = end + 1;
	}
	return OK;
}

/* Up to size bytes; fewer when the file is shorter now than it was. */
static ssize_t
read_all(int fd, char *out, size_t size)
{
	size_t done = 0;
	ssize_t got;

	while (done < size) {
		got = read(fd, out + done, size - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static enum err
read_open(struct reader *reader, int fd, size_t size)
{
	char *text = malloc(size + 1);
	ssize_t len;
	enum err err = OK;

	if (text == NULL)
		return ERR_MEMORY;
	len = read_all(fd, text, size);
	if (len < 0) {
		buf_addf(reader->problems, "%s: cannot be read: %s\n",
		    reader->path, strerrordesc_np(errno));
		goto out;
	}
	text[len] = '\0';
	if (strlen(text) != (size_t)len) {
		buf_addf(reader->problems,
		    "%s: holds a NUL byte, expected text\n", reader->path);
		goto out;
	}
	err = read_lines(reader, text);
out:
	explicit_bzero(text, size + 1);
	free(text);
	return err;
}

enum err
config_file_read(const char *path, struct buf *problems,
    struct config_file *out)
{
	struct reader reader = {
		.path = path, .problems = problems, .file = out
	};
	struct stat info;
	enum err err = OK;
	int fd;

	*out = (struct config_file){ 0 };
	/* O_NONBLOCK: a FIFO by mistake must not hang the start. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &info) < 0) {
		buf_addf(problems, "%s: cannot be read: %s\n", path,
		    strerrordesc_np(errno));
		goto out;
	}
	if (!S_ISREG(info.st_mode) || info.st_size > CONFIG_FILE_MAX) {
		buf_addf(problems,
		    "%s: is no settings file, expected a regular file of at "
		    "most %d bytes\n",
		    path, CONFIG_FILE_MAX);
		goto out;
	}
	out->mode = info.st_mode & 07777;
	err = read_open(&reader, fd, (size_t)info.st_size);
out:
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
	return err;
}

void
config_file_fini(struct config_file *file)
{
	for (size_t i = 0; i < file->len; i++) {
		free(file->entries[i].name);
		config_forget(file->entries[i].value);
	}
	free(file->entries);
	*file = (struct config_file){ 0 };
}

const char *
config_file_get(const struct config_file *file, const char *name)
{
	const struct config_entry *entry = find_entry(file, name);

	return entry == NULL ? "" : entry->value;
}
