/*
 * provider.c - the kinds of providers there are.
 */
#include "llm/provider.h"

#include <stddef.h>
#include <string.h>

const struct llm_provider *
provider_find(const char *kind)
{
	static const struct llm_provider *const kinds[] = {
		&llm_openai,
		&llm_echo,
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i]->kind, kind) == 0)
			return kinds[i];
	return NULL;
}
