/*
 * read.c - reading JSON: json-c for the values, the gate's spans for their
 * text.
 *
 * json-c keeps no positions and clamps large integers, so every value is a
 * node that pairs the object of json-c with its span.  Both come in the order
 * of the text, so one walk pairs them; a difference means that json-c ran out
 * of memory, which it does not always report.  Where json-c 0.16 cannot copy a
 * member's name it crashes, so it gets objects as arrays of names and values.
 */
#include "json/read.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "json/escape.h"

struct jsonr {
	const char *text;
	const char *key;        /* of a member, else NULL; owned by json-c */
	json_object *object;    /* NULL for null; owned by the root */
	struct jsonr *children; /* side by side */
	uint32_t len;
	uint32_t count; /* of children */
	uint32_t span;
	uint32_t index; /* in document.nodes */
};

struct document {
	struct arena *arena;
	struct jsonr nodes[]; /* the root first, containers before contents */
};

const struct gate_limits jsonr_limits = {
	.depth = 64,
	.keys = 10000,
	.values = 400000,
};

static void
put(void *object)
{
	(void)json_object_put(object);
}

/* The root object, freed with the arena; NULL also for the text null. */
static enum err
parse_objects(struct arena *arena, const char *text, size_t len, int depth,
    json_object **out)
{
	json_tokener *tokener;
	json_object *root;
	enum json_tokener_error fault;

	/* Two levels for json-c itself: one for scalars, one unused. */
	tokener = json_tokener_new_ex(depth + 2);
	if (tokener == NULL)
		return ERR_MEMORY;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	/* With its NUL, which is what ends a number at the top. */
	root = json_tokener_parse_ex(tokener, text, (int)len + 1);
	fault = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	*out = root;
	if (fault != json_tokener_success || root == NULL)
		return fault == json_tokener_success ? OK : ERR_MEMORY;
	if (arena_on_free(arena, put, root) == OK)
		return OK;
	put(root);
	return ERR_MEMORY;
}

enum jsonr_kind
jsonr_kind(const struct jsonr *value)
{
	if (value == NULL)
		return JSONR_NULL;
	switch (value->text[0]) {
	case 'n':
		return JSONR_NULL;
	case 't':
	case 'f':
		return JSONR_BOOL;
	case '"':
		return JSONR_STRING;
	case '[':
		return JSONR_ARRAY;
	case '{':
		return JSONR_OBJECT;
	default:
		return JSONR_NUMBER;
	}
}

/* Bytes of a string between at and end once its escapes are read. */
static size_t
decoded_len(const char *at, const char *end)
{
	struct escape_decoder decoder;
	const char *slash;
	size_t len = 0;

	for (;;) {
		slash = memchr(at, '\\', (size_t)(end - at));
		if (slash == NULL)
			return len + (size_t)(end - at);
		decoder = (struct escape_decoder){ .at = slash, .end = end };
		(void)escape_decode(&decoder);
		len += (size_t)(slash - at) + (size_t)decoder.pending_len;
		at = decoder.at;
	}
}

/* object is the whole string that stands between at and end. */
static bool
is_string(json_object *object, const char *at, const char *end)
{
	return json_object_is_type(object, json_type_string) &&
	       (size_t)json_object_get_string_len(object) ==
		   decoded_len(at, end);
}

/* json-c's object is what the text says, with as many children. */
static bool
agrees(const struct jsonr *node)
{
	json_object *object = node->object;

	switch (jsonr_kind(node)) {
	case JSONR_NULL:
		return object == NULL;
	case JSONR_BOOL:
		return json_object_is_type(object, json_type_boolean);
	case JSONR_NUMBER:
		return json_object_is_type(object, json_type_int) ||
		       json_object_is_type(object, json_type_double);
	case JSONR_STRING:
		return is_string(object, node->text + 1,
		    node->text + node->len - 1);
	case JSONR_ARRAY:
		return json_object_is_type(object, json_type_array) &&
		       json_object_array_length(object) == node->count;
	case JSONR_OBJECT:
		return json_object_is_type(object, json_type_array) &&
		       json_object_array_length(object) ==
			   2 * (size_t)node->count;
	}
	return false;
}

static void
node_set(struct jsonr *node, const char *text, const struct gate_spans *spans,
    uint32_t span)
{
	const struct gate_span *place = &spans->list[span];

	node->text = text + place->start;
	node->len = place->end - place->start;
	node->count = place->count;
	node->span = span;
}

/* The name of a member, which is between from and its value; NULL when json-c
 * has it cut short. */
static const char *
name_of(json_object *name, const char *from, const char *value)
{
	while (*from != '"')
		from++;
	while (*value != ':')
		value--;
	while (*value != '"')
		value--;
	if (!is_string(name, from + 1, value))
		return NULL;
	return json_object_get_string(name);
}

/* Hands each child its object of json-c and, in an object, its name. */
static enum err
adopt(struct jsonr *node)
{
	struct jsonr *child = node->children;
	bool named = jsonr_kind(node) == JSONR_OBJECT;
	const char *from = node->text;
	json_object *name;
	size_t at = 0;

	for (uint32_t i = 0; i < node->count; i++, child++) {
		if (named) {
			name = json_object_array_get_idx(node->object, at++);
			child->key = name_of(name, from, child->text);
			if (child->key == NULL)
				return ERR_MEMORY;
		}
		child->object = json_object_array_get_idx(node->object, at++);
		from = child->text + child->len;
	}
	return OK;
}

/*
 * Lays out the nodes so that the children of one are side by side: node by
 * node in the order they were laid out, each appends its children.
 */
static enum err
build_nodes(struct document *document, const char *text,
    const struct gate_spans *spans)
{
	struct jsonr *nodes = document->nodes;
	uint32_t filled = 1;

	node_set(&nodes[0], text, spans, 0);
	for (uint32_t i = 0; i < filled; i++) {
		struct jsonr *node = &nodes[i];
		uint32_t span = node->span + 1;

		node->index = i;
		if (!agrees(node))
			return ERR_MEMORY;
		node->children = &nodes[filled];
		for (uint32_t k = 0; k < node->count; k++) {
			node_set(&nodes[filled++], text, spans, span);
			span += spans->list[span].size;
		}
		if (adopt(node) != OK)
			return ERR_MEMORY;
	}
	return OK;
}

/* {"a": 1, "b": {}} becomes ["a", 1, "b", []]. */
static void
flatten(char *text, const struct gate_spans *spans)
{
	for (size_t i = 0; i < spans->count; i++) {
		const struct gate_span *span = &spans->list[i];
		const struct gate_span *child = span + 1;

		if (text[span->start] != '{')
			continue;
		text[span->start] = '[';
		text[span->end - 1] = ']';
		for (uint32_t k = 0; k < span->count; k++) {
			char *colon = text + child->start;

			while (*colon != ':')
				colon--;
			*colon = ',';
			child += child->size;
		}
	}
}

static enum err
parse_spans(struct arena *arena, const char *text, size_t len,
    const struct gate_spans *spans, struct jsonr **out)
{
	char *copy = arena_strndup(arena, text, len);
	struct document *document;
	json_object *root = NULL;
	enum err err;

	document = arena_alloc(arena,
	    sizeof(*document) + spans->count * sizeof(document->nodes[0]));
	if (copy == NULL || document == NULL)
		return ERR_MEMORY;
	flatten(copy, spans);
	err = parse_objects(arena, copy, len, spans->depth, &root);
	if (err != OK)
		return err;
	memcpy(copy, text, len);
	document->arena = arena;
	document->nodes[0].object = root;
	err = build_nodes(document, copy, spans);
	if (err == OK)
		*out = document->nodes;
	return err;
}

/* NOLINTBEGIN(readability-function-size): as jsonr_parse(), and limits */
enum err
jsonr_parse_within(struct arena *arena, const char *text, size_t len,
    const struct gate_limits *limits, struct jsonr **out,
    struct gate_result *why)
{
	struct gate_spans spans;
	struct gate_result result;
	enum err err;

	*out = NULL;
	result = gate_check_spans(text, len, limits, &spans);
	if (why != NULL)
		*why = result;
	if (result.fault == GATE_OK)
		err = parse_spans(arena, text, len, &spans, out);
	else
		err = result.fault == GATE_MEMORY ? ERR_MEMORY : ERR_INPUT;
	gate_spans_fini(&spans);
	return err;
}
/* NOLINTEND(readability-function-size) */

enum err
jsonr_parse(struct arena *arena, const char *text, size_t len,
    struct jsonr **out, struct gate_result *why)
{
	return jsonr_parse_within(arena, text, len, &jsonr_limits, out, why);
}

struct jsonr *
jsonr_get(const struct jsonr *value, const char *key)
{
	if (jsonr_kind(value) != JSONR_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < value->count; i++) {
		if (strcmp(value->children[i].key, key) == 0)
			return &value->children[i];
	}
	return NULL;
}

size_t
jsonr_count(const struct jsonr *value)
{
	return value == NULL ? 0 : value->count;
}

struct jsonr *
jsonr_at(const struct jsonr *array, size_t index)
{
	if (jsonr_kind(array) != JSONR_ARRAY || index >= array->count)
		return NULL;
	return &array->children[index];
}

struct jsonr *
jsonr_member(const struct jsonr *object, size_t index, const char **key)
{
	if (jsonr_kind(object) != JSONR_OBJECT || index >= object->count)
		return NULL;
	*key = object->children[index].key;
	return &object->children[index];
}

enum err
jsonr_string(const struct jsonr *value, const char **out, size_t *len)
{
	if (jsonr_kind(value) != JSONR_STRING)
		return ERR_INPUT;
	*out = json_object_get_string(value->object);
	if (len != NULL)
		*len = (size_t)json_object_get_string_len(value->object);
	return OK;
}

enum err
jsonr_bool(const struct jsonr *value, bool *out)
{
	if (jsonr_kind(value) != JSONR_BOOL)
		return ERR_INPUT;
	*out = value->text[0] == 't';
	return OK;
}

/* The byte after a literal ends it for strtoll: a comma, a bracket, white space
 * or the NUL of the copy. */
enum err
jsonr_int(const struct jsonr *value, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long number;

	if (value == NULL || jsonr_kind(value) != JSONR_NUMBER)
		return ERR_INPUT;
	errno = 0;
	number = strtoll(value->text, &end, 10);
	if (errno != 0 || end != value->text + value->len)
		return ERR_INPUT;
	if (number < min || number > max)
		return ERR_INPUT;
	*out = number;
	return OK;
}

void
jsonr_raw(const struct jsonr *value, const char **text, size_t *len)
{
	*text = value == NULL ? "null" : value->text;
	*len = value == NULL ? strlen("null") : value->len;
}

const char *
jsonr_text(const struct jsonr *value)
{
	const struct document *document;
	const char *nodes;

	if (value == NULL)
		return NULL;
	nodes = (const char *)(value - value->index);
	document = (const void *)(nodes - offsetof(struct document, nodes));
	return arena_strndup(document->arena, value->text, value->len);
}

const char *
read_library_version(void)
{
	return json_c_version();
}
