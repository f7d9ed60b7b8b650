/*
 * config_print.c - the settings as people and scripts read them.
 */
#include "config/config_value.h"

#include <string.h>

static const char *
source_name(enum config_source source)
{
	static const char *const names[] = {
		[CONFIG_DEFAULT] = "default",
		[CONFIG_ENVIRONMENT] = "environment",
		[CONFIG_FILE] = "file",
	};

	return names[source];
}

static void
print_value(const struct config_option *option, const struct config *config,
    struct buf *out)
{
	const char *field = (const char *)config + option->offset;
	const char *text = "";

	if (!config_kind_is_text(option->kind)) {
		config_value_text(option, config, out);
		return;
	}
	text = *(char *const *)(const void *)field;
	if ((option->flags & CONFIG_SECRET) != 0)
		buf_adds(out, *text == '\0' ? "not set" : "set");
	else
		buf_adds(out, *text == '\0' ? "\"\"" : text);
}

static bool
is_option(const char *name)
{
	for (size_t i = 0; i < config_options_len; i++) {
		if (strcmp(config_options[i].name, name) == 0)
			return true;
	}
	return false;
}

void
config_print(const struct config *config, struct buf *out)
{
	const struct config_store *store = config->store;

	for (size_t i = 0; i < config_options_len; i++) {
		buf_addf(out, "%-27s ", config_options[i].name);
		print_value(&config_options[i], config, out);
		buf_addf(out, " (%s)\n", source_name(store->sources[i]));
	}
	for (size_t i = 0; i < store->keys_len; i++) {
		if (is_option(store->keys[i].name))
			continue;
		buf_addf(out, "%-27s set (%s)\n", store->keys[i].name,
		    source_name(store->keys[i].source));
	}
}

/* Our own words: quotes and backslashes are all that can be in them. */
static void
add_string(struct buf *out, const char *text)
{
	buf_addc(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_addc(out, '\\');
		buf_addc(out, *text);
	}
	buf_addc(out, '"');
}

static void
add_row(struct buf *out, const struct config_option *option)
{
	bool secret = (option->flags & CONFIG_SECRET) != 0;
	bool required = (option->flags & CONFIG_REQUIRED) != 0;

	buf_adds(out, "{\"name\":");
	add_string(out, option->name);
	buf_adds(out, ",\"kind\":");
	add_string(out, config_kind_name(option->kind));
	buf_adds(out, ",\"default\":");
	add_string(out, option->fallback);
	buf_addf(out, ",\"secret\":%s,\"required\":%s,\"help\":",
	    secret ? "true" : "false", required ? "true" : "false");
	add_string(out, option->help);
	buf_addc(out, '}');
}

void
config_table_json(struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < config_options_len; i++) {
		if (i > 0)
			buf_adds(out, ",\n");
		add_row(out, &config_options[i]);
	}
	buf_adds(out, "]\n");
}
