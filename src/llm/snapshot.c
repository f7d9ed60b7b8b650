/*
 * snapshot.c - one state of the catalogue: which model goes where.
 *
 * Everything is in one arena.  Targets are in the order of preference, which
 * is what a list shows; by_name finds the first of a name.
 */
#include "llm/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "llm/address.h"
#include "llm/provider.h"
#include "llm/transfer.h"

#define OPENAI        "openai"
#define OPENAI_URL    "https://api.openai.com/v1"
#define PRICE_UNKNOWN ((struct catalog_price){ -1, -1, -1, -1 })

struct provider {
	struct catalog_provider p;
	bool foreign; /* openai at another address: the table's models are not
	                 there */
};

/* A list that doubles in the arena. */
struct list {
	void **items;
	size_t count, room;
};

struct snapshot {
	atomic_int references;
	struct arena *arena;
	const struct config *config;
	struct buf *problems; /* until closed */
	struct list providers, targets, prices;
	void **by_name; /* the targets, sorted */
	const struct catalog_target *fallback;
};

static enum err
list_add(struct arena *arena, struct list *list, void *item)
{
	size_t room = list->room == 0 ? 16 : list->room * 2;
	void **items;

	if (item == NULL)
		return ERR_MEMORY;
	if (list->count == list->room) {
		items = arena_alloc(arena, room * sizeof(*items));
		if (items == NULL)
			return ERR_MEMORY;
		if (list->count > 0)
			memcpy(items, list->items,
			    list->count * sizeof(*items));
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = item;
	return OK;
}

struct snapshot *
snapshot_new(const struct config *config, struct buf *problems)
{
	struct arena *arena = arena_new();
	struct snapshot *snapshot = arena_alloc(arena, sizeof(*snapshot));

	if (snapshot == NULL) {
		arena_free(arena);
		return NULL;
	}
	atomic_init(&snapshot->references, 1);
	snapshot->arena = arena;
	snapshot->config = config;
	snapshot->problems = problems;
	return snapshot;
}

void
snapshot_hold(struct snapshot *snapshot)
{
	atomic_fetch_add(&snapshot->references, 1);
}

void
snapshot_release(struct snapshot *snapshot)
{
	struct provider *provider;

	if (snapshot == NULL || atomic_fetch_sub(&snapshot->references, 1) != 1)
		return;
	for (size_t i = 0; i < snapshot->providers.count; i++) {
		provider = snapshot->providers.items[i];
		if (provider->p.key != NULL)
			explicit_bzero(provider->p.key,
			    strlen(provider->p.key));
	}
	arena_free(snapshot->arena);
}

static struct provider *
provider_named(const struct snapshot *snapshot, const char *name, size_t len)
{
	struct provider *provider;

	for (size_t i = 0; i < snapshot->providers.count; i++) {
		provider = snapshot->providers.items[i];
		if (strlen(provider->p.name) == len &&
		    memcmp(provider->p.name, name, len) == 0)
			return provider;
	}
	return NULL;
}

/* ERR_INPUT here and below: the provider is left out. */
static enum err
refuse(struct snapshot *snapshot, const char *name, const char *why)
{
	buf_addf(snapshot->problems, "provider %s: %s\n", name, why);
	return ERR_INPUT;
}

/* The settings say where "openai" is, unless its row does. */
static const char *
base_url_of(const struct snapshot *snapshot, const struct provider_row *row)
{
	if (row->base_url != NULL && *row->base_url != '\0')
		return row->base_url;
	if (strcmp(row->name, OPENAI) == 0)
		return snapshot->config->openai_base_url;
	return "";
}

/* base_url and allow_local. */
static enum err
set_address(struct snapshot *snapshot, struct provider *provider,
    const struct provider_row *row)
{
	const char *url = base_url_of(snapshot, row);
	const char *allow = snapshot->config->provider_allow;
	bool ours = url == snapshot->config->openai_base_url;
	struct transfer_url parsed;
	size_t len = strlen(url);
	enum err err;

	while (len > 0 && url[len - 1] == '/')
		len--;
	provider->p.base_url = arena_strndup(snapshot->arena, url, len);
	if (provider->p.base_url == NULL)
		return ERR_MEMORY;
	err =
	    transfer_url_parse(snapshot->arena, provider->p.base_url, &parsed);
	if (err == ERR_MEMORY)
		return err;
	if (err != OK)
		return refuse(snapshot, row->name,
		    "its base URL is not one, expected https://host/path");
	provider->p.allow_local =
	    row->allow_local ||
	    address_in_list(allow, parsed.host, parsed.port) ||
	    (ours && address_is_loopback_name(parsed.host));
	provider->foreign =
	    ours && strcmp(provider->p.base_url, OPENAI_URL) != 0;
	if (!parsed.https && !provider->p.allow_local)
		return refuse(snapshot, row->name,
		    "http is only for hosts named in PROVIDER_ALLOW");
	return OK;
}

/* The key; that there has to be one and is none is no fault: the provider is
 * not in use. */
static enum err
set_key(struct snapshot *snapshot, struct provider *provider,
    const struct provider_row *row)
{
	const char *key;

	if (row->key_env == NULL)
		return OK;
	key = config_secret(snapshot->config, row->key_env);
	if (key == NULL || *key == '\0')
		return provider->foreign ? OK : ERR_INPUT;
	for (const char *c = key; *c != '\0'; c++)
		if ((unsigned char)*c < 0x21 || (unsigned char)*c > 0x7e)
			return refuse(snapshot, row->name,
			    "its key has characters that no header can carry");
	provider->p.key = arena_strdup(snapshot->arena, key);
	return provider->p.key == NULL ? ERR_MEMORY : OK;
}

static enum err
add_target(struct snapshot *snapshot, const struct provider *provider,
    const struct model_row *row)
{
	struct arena *arena = snapshot->arena;
	struct catalog_target *target = arena_alloc(arena, sizeof(*target));

	if (target == NULL)
		return ERR_MEMORY;
	target->provider = &provider->p;
	target->model = arena_strdup(arena, row->name);
	target->upstream_model = arena_strdup(arena, row->upstream_name);
	target->context = row->context;
	target->created_s = row->created_s;
	target->price = PRICE_UNKNOWN;
	if (target->model == NULL || target->upstream_model == NULL)
		return ERR_MEMORY;
	return list_add(arena, &snapshot->targets, target);
}

/* OPENAI_MODELS: offered whatever the table says. */
static enum err
add_own_models(struct snapshot *snapshot, const struct provider *provider)
{
	const char *at = snapshot->config->openai_models;
	struct model_row row = { .provider = OPENAI };
	enum err err = OK;
	char *name;
	size_t len;

	row.created_s = clock_wall_us() / 1000000;
	while (at != NULL && *at != '\0' && err == OK) {
		len = strcspn(at, ",");
		name = arena_strndup(snapshot->arena, at, len);
		row.name = row.upstream_name = name;
		if (name == NULL)
			return ERR_MEMORY;
		if (len > 0)
			err = add_target(snapshot, provider, &row);
		at += len + (at[len] == ',');
	}
	return err;
}

enum err
snapshot_add_provider(struct snapshot *snapshot, const struct provider_row *row)
{
	struct arena *arena = snapshot->arena;
	struct provider *provider = arena_alloc(arena, sizeof(*provider));
	enum err err;

	if (provider == NULL)
		return ERR_MEMORY;
	provider->p.name = arena_strdup(arena, row->name);
	provider->p.kind = provider_find(row->kind);
	provider->p.any_model = row->any_model;
	if (provider->p.name == NULL)
		return ERR_MEMORY;
	if (provider->p.kind == NULL) {
		(void)refuse(snapshot, row->name, "unknown kind");
		return OK;
	}
	err = OK;
	if (provider->p.kind->build != NULL)
		err = set_address(snapshot, provider, row);
	if (err == OK)
		err = set_key(snapshot, provider, row);
	if (err != OK)
		return err == ERR_INPUT ? OK : err;
	provider->p.any_model = row->any_model || provider->foreign;
	err = list_add(arena, &snapshot->providers, provider);
	if (err == OK && strcmp(row->name, OPENAI) == 0)
		err = add_own_models(snapshot, provider);
	return err;
}

enum err
snapshot_add_model(struct snapshot *snapshot, const struct model_row *row)
{
	const struct provider *provider =
	    provider_named(snapshot, row->provider, strlen(row->provider));

	if (provider == NULL || provider->foreign)
		return OK;
	return add_target(snapshot, provider, row);
}

enum err
snapshot_add_price(struct snapshot *snapshot, const struct price_row *row)
{
	struct arena *arena = snapshot->arena;
	struct price_row *price = arena_alloc(arena, sizeof(*price));

	if (price == NULL)
		return ERR_MEMORY;
	price->provider = arena_strdup(arena, row->provider);
	price->model = arena_strdup(arena, row->model);
	price->price = row->price;
	if (price->provider == NULL || price->model == NULL)
		return ERR_MEMORY;
	return list_add(arena, &snapshot->prices, price);
}

static int
compare_price(const void *a, const void *b)
{
	const struct price_row *left = a;
	const struct price_row *right = *(void *const *)b;
	int order = strcmp(left->provider, right->provider);

	return order != 0 ? order : strcmp(left->model, right->model);
}

static struct catalog_price
price_of(const struct snapshot *snapshot, const struct catalog_target *target)
{
	struct price_row wanted = { .provider = target->provider->name,
		.model = target->upstream_model };
	void *const *found;

	if (snapshot->prices.count == 0)
		return PRICE_UNKNOWN;
	found = bsearch(&wanted, snapshot->prices.items, snapshot->prices.count,
	    sizeof(void *), compare_price);
	return found == NULL ? PRICE_UNKNOWN
			     : ((const struct price_row *)*found)->price;
}

/* By name, then by preference: the order of the list, which by_name copies
 * before it is sorted (qsort is not stable, so the place is compared). */
static int
compare_target(const void *a, const void *b)
{
	const struct catalog_target *left = *(void *const *)a;
	const struct catalog_target *right = *(void *const *)b;
	int order = strcmp(left->model, right->model);

	if (order != 0)
		return order;
	return (left->rank > right->rank) - (left->rank < right->rank);
}

enum err
snapshot_close(struct snapshot *snapshot)
{
	struct list *targets = &snapshot->targets;
	struct catalog_target *target;
	const char *wanted = snapshot->config->default_model;

	snapshot->problems = NULL;
	snapshot->by_name =
	    arena_alloc(snapshot->arena, (targets->count + 1) * sizeof(void *));
	if (snapshot->by_name == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < targets->count; i++) {
		target = targets->items[i];
		target->rank = i;
		target->price = price_of(snapshot, target);
		snapshot->by_name[i] = target;
	}
	qsort(snapshot->by_name, targets->count, sizeof(void *),
	    compare_target);
	if (wanted != NULL && *wanted != '\0')
		snapshot->fallback =
		    snapshot_find(snapshot, snapshot->arena, wanted);
	if (snapshot->fallback == NULL && targets->count > 0)
		snapshot->fallback = targets->items[0];
	return OK;
}

/* The preferred target called name; of provider only, unless NULL. */
static const struct catalog_target *
find_listed(const struct snapshot *snapshot, const char *name,
    const struct catalog_provider *provider)
{
	size_t low = 0, high = snapshot->targets.count;
	const struct catalog_target *target;
	size_t middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		target = snapshot->by_name[middle];
		if (strcmp(target->model, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < snapshot->targets.count; low++) {
		target = snapshot->by_name[low];
		if (strcmp(target->model, name) != 0)
			return NULL;
		if (provider == NULL || target->provider == provider)
			return target;
	}
	return NULL;
}

static const struct catalog_target *
make_target(const struct snapshot *snapshot, struct arena *arena,
    const struct catalog_provider *provider, const char *model)
{
	struct catalog_target *target = arena_alloc(arena, sizeof(*target));

	if (target == NULL)
		return NULL;
	target->provider = provider;
	target->model = arena_strdup(arena, model);
	target->upstream_model = target->model;
	if (target->model == NULL)
		return NULL;
	target->price = price_of(snapshot, target);
	return target;
}

/* "provider/model" */
static const struct catalog_target *
find_qualified(const struct snapshot *snapshot, struct arena *arena,
    const char *name)
{
	const char *slash = strchr(name, '/');
	const struct catalog_target *target;
	const struct provider *provider;

	if (slash == NULL || slash[1] == '\0')
		return NULL;
	provider = provider_named(snapshot, name, (size_t)(slash - name));
	if (provider == NULL)
		return NULL;
	target = find_listed(snapshot, slash + 1, &provider->p);
	if (target == NULL && provider->p.any_model)
		target = make_target(snapshot, arena, &provider->p, slash + 1);
	return target;
}

const struct catalog_target *
snapshot_find(const struct snapshot *snapshot, struct arena *arena,
    const char *model)
{
	const struct catalog_target *target;
	const struct provider *provider;

	target = find_listed(snapshot, model, NULL);
	if (target == NULL)
		target = find_qualified(snapshot, arena, model);
	if (target != NULL || *model == '\0')
		return target;
	for (size_t i = 0; i < snapshot->providers.count; i++) {
		provider = snapshot->providers.items[i];
		if (provider->p.any_model)
			return make_target(snapshot, arena, &provider->p,
			    model);
	}
	return NULL;
}

size_t
snapshot_count(const struct snapshot *snapshot)
{
	return snapshot->targets.count;
}

const struct catalog_target *
snapshot_at(const struct snapshot *snapshot, size_t index)
{
	return index < snapshot->targets.count ? snapshot->targets.items[index]
					       : NULL;
}

const struct catalog_target *
snapshot_default(const struct snapshot *snapshot)
{
	return snapshot->fallback;
}
