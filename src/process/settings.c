/*
 * settings.c - config_load(), and what only other modules can tell.
 */
#include "process/settings.h"

#include "db/db.h"

static bool
check_url(const char *name, const char *url, struct buf *problems)
{
	struct buf problem;
	bool valid;

	if (url[0] == '\0')
		return true;
	buf_init(&problem, problems->max);
	valid = db_url_is_valid(url, &problem);
	if (!valid)
		buf_addf(problems, "%s: %s\n", name, buf_str(&problem));
	buf_fini(&problem);
	return valid;
}

enum err
settings_load(const char *file, struct buf *problems, struct config **out)
{
	struct config *config = NULL;
	enum err err = config_load(file, problems, &config);
	bool valid;

	if (err != OK)
		return err;
	valid = check_url("DATABASE_URL", config->database_url, problems);
	valid &= check_url("DATABASE_OWNER_URL", config->database_owner_url,
	    problems);
	if (!valid) {
		config_free(config);
		return ERR_INPUT;
	}
	*out = config;
	return OK;
}
