/*
 * cmd_prices.c - `minuted prices import FILE`.
 */
#include "process/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "db/prices.h"

#define FILE_MAX    ((size_t)32 * 1024 * 1024)
#define PROBLEM_MAX 1024

/* All of the file, or "-" for standard input, as text; complains itself. */
static enum err
read_file(const char *path, struct buf *out)
{
	char part[8192];
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	size_t len;
	int failed;

	if (file == NULL) {
		perror(path);
		return ERR_SYSTEM;
	}
	while ((len = fread(part, 1, sizeof(part), file)) > 0)
		buf_add(out, part, len);
	failed = ferror(file);
	if (file != stdin)
		(void)fclose(file);
	if (failed != 0 || !buf_ok(out)) {
		(void)fprintf(stderr, "%s: cannot be read whole\n", path);
		return ERR_SYSTEM;
	}
	if (strlen(buf_str(out)) != out->len) {
		(void)fprintf(stderr, "%s: not text\n", path);
		return ERR_INPUT;
	}
	return OK;
}

static enum err
import(struct db *db, const char *path, const char *json)
{
	struct prices_count count = { 0 };
	struct buf problem;
	enum err err;

	buf_init(&problem, PROBLEM_MAX);
	err = prices_import(db, json, "import", &count, &problem);
	if (err == OK)
		(void)printf("%lld new, %lld changed, %lld unchanged\n",
		    (long long)count.added, (long long)count.changed,
		    (long long)count.unchanged);
	else if (buf_str(&problem)[0] != '\0')
		(void)fprintf(stderr, "%s: %s; nothing was imported\n", path,
		    buf_str(&problem));
	else
		(void)fprintf(stderr, "%s: nothing was imported: %s (%s)\n",
		    path, db_fault(db)->message, err_name(err));
	buf_fini(&problem);
	return err;
}

int
cmd_prices(const struct config *config, int argc, char **argv)
{
	struct db *db = NULL;
	struct buf json;
	int code = 1;

	if (argc != 3 || strcmp(argv[1], "import") != 0) {
		(void)fprintf(stderr, "usage: minuted prices import FILE\n");
		return 2;
	}
	buf_init(&json, FILE_MAX);
	if (read_file(argv[2], &json) != OK)
		goto out;
	db = db_new(&(struct db_options){ .url = config->database_owner_url,
	    .application = "minuted prices",
	    .statement_ms = config->statement_ms,
	    .lock_ms = config->lock_ms });
	if (db == NULL)
		(void)fprintf(stderr, "minuted prices: no memory\n");
	else if (import(db, argv[2], buf_str(&json)) == OK)
		code = 0;
	db_free(db);
out:
	buf_fini(&json);
	return code;
}
