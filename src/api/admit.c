/*
 * admit.c - who may still ask, and for how much.
 */
#include "api/admit.h"

#include <string.h>
#include <time.h>

#include "api/app.h"
#include "api/budget.h"
#include "api/routes.h"
#include "api/rules.h"
#include "api/scoreboard.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "llm/price.h"
#include "llm/usage.h"
#include "json/read.h"

#define MINUTE_MS  60000
#define COMPARE_MS 60000 /* with the tables, a subject with a budget */
#define READING_MS 5000  /* for the thread that reads what was spent */
#define WAIT_TURNS 200   /* for the others, times WAIT_NS */
#define WAIT_NS    5000000

/* What a call has reserved of a subject (a user, or a key). */
struct share {
	char calls[BUDGET_NAME_SIZE]; /* "" where there is no such limit */
	char tokens[BUDGET_NAME_SIZE];
	char budget[BUDGET_NAME_SIZE];
	struct limit_state window; /* that the tokens were taken from */
	int64_t taken;             /* tokens */
	int64_t reserved;          /* pico-dollars */
	int64_t used;              /* pico-dollars, once it has ended */
	bool ended;
};

/* What a call may come to. */
struct size {
	int64_t prompt;  /* tokens, by estimate */
	int64_t ceiling; /* of an answer */
	int64_t choices;
	bool named;    /* the ceiling: by the request */
	int64_t parts; /* the calls of the request from this one on */
};

struct admission {
	struct app *app;
	struct share shares[RULES_APPLY];
	size_t count;
};

/* --- names ------------------------------------------------------------ */

static void
name_of(char out[BUDGET_NAME_SIZE], const char *what, const struct rule *rule,
    const char *suffix)
{
	const struct uuid *subject =
	    uuid_is_zero(&rule->key_id) ? &rule->user_id : &rule->key_id;

	budget_name(out, what, subject, suffix);
}

/* One of another length is another window. */
static void
name_window(char out[BUDGET_NAME_SIZE], const struct rule *rule)
{
	struct buf suffix;

	buf_init(&suffix, BUDGET_NAME_SIZE);
	buf_addf(&suffix, ":%lld", (long long)rule->window_ms);
	name_of(out, "requests", rule, buf_str(&suffix));
	buf_fini(&suffix);
}

static int
seconds_left_of_month(void)
{
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm date;

	if (gmtime_r(&now, &date) == NULL)
		return 3600;
	date.tm_mon++;
	date.tm_mday = 1;
	date.tm_hour = date.tm_min = date.tm_sec = 0;
	return (int)(timegm(&date) - now);
}

/* --- requests --------------------------------------------------------- */

void
admit_headers(struct http_request *req, const struct limit_state *state)
{
	response_headerf(req, "RateLimit-Limit", "%lld",
	    (long long)state->limit);
	response_headerf(req, "RateLimit-Remaining", "%lld",
	    (long long)state->remaining);
	response_headerf(req, "RateLimit-Reset", "%lld",
	    (long long)state->reset_s);
}

static enum handled
reply_limited(struct http_request *req, const char *code, int retry_after,
    const char *detail)
{
	return problem_send(req, &(struct problem){ .err = ERR_LIMIT,
				     .code = code,
				     .retry_after = retry_after,
				     .detail = detail });
}

struct taken {                       /* a request, from one window */
	char name[BUDGET_NAME_SIZE]; /* "" where there is no such limit */
	struct limit_state state;
};

static enum err
take_request(struct http_request *req, const struct rule *rule,
    struct taken *taken)
{
	taken->name[0] = '\0';
	taken->state = (struct limit_state){ .limit = -1 };
	if (rule->requests < 0)
		return OK;
	name_window(taken->name, rule);
	return limit_take(req->app->limits, taken->name, 1, rule->requests,
	    rule->window_ms, &taken->state);
}

/* A request that one window refuses takes nothing from the other. */
static enum err
take_requests(struct http_request *req, const struct rule *rules, size_t count,
    struct limit_state *tightest)
{
	struct taken taken[RULES_APPLY];
	enum err err = OK;
	size_t i;

	for (i = 0; err == OK && i < count; i++) {
		err = take_request(req, &rules[i], &taken[i]);
		if (taken[i].name[0] != '\0' &&
		    (tightest->limit < 0 || err != OK ||
			taken[i].state.remaining < tightest->remaining))
			*tightest = taken[i].state;
	}
	for (size_t given = 0; err != OK && given + 1 < i; given++) {
		if (taken[given].name[0] != '\0')
			limit_give(req->app->limits, taken[given].name, 1,
			    &taken[given].state);
	}
	return err;
}

enum err
admit_request_or_reply(struct http_request *req)
{
	struct limit_state tightest = { .limit = -1 };
	struct rule rules[RULES_APPLY];
	size_t count;
	enum err err;

	err = rules_find(req->app->rules, req->db, &req->who, rules, &count);
	if (err == OK)
		err = take_requests(req, rules, count, &tightest);
	/* the playground tells its own limit, unless it is not reached */
	if (tightest.limit >= 0 &&
	    (err != OK || req->route->limit != LIMIT_PLAYGROUND))
		admit_headers(req, &tightest);
	if (err == ERR_LIMIT)
		(void)reply_limited(req, "rate_limit_exceeded",
		    (int)tightest.reset_s, "too many requests: slow down");
	else if (err != OK)
		(void)problem_of(req, err);
	return err;
}

/* --- what was spent --------------------------------------------------- */

static enum err
read_spent(struct http_request *req, const struct rule *rule, const char *start,
    int64_t *out)
{
	char user[UUID_TEXT_SIZE];
	char key[UUID_TEXT_SIZE];
	const char *args[] = { user, key, start };
	struct db_rows *rows = NULL;
	enum err err;

	uuid_text(&rule->user_id, user);
	uuid_text(&rule->key_id, key);
	err = db_query(req->db, DB_LIMITS_SPENT, args, &rows);
	if (err == OK)
		*out = rows_int64(rows, 0, 0);
	rows_free(rows);
	return err;
}

struct budget { /* the names of a subject's counters of this month */
	char budget[BUDGET_NAME_SIZE];
	char known[BUDGET_NAME_SIZE]; /* a window: it was read */
	char fresh[BUDGET_NAME_SIZE]; /* a window: compared within COMPARE_MS */
	char reading[BUDGET_NAME_SIZE]; /* a window: somebody reads */
	char start[CLOCK_TEXT_SIZE];
};

static void
name_budget(const struct rule *rule, struct budget *out)
{
	struct budget_month month;

	budget_month(clock_wall_us(), &month);
	memcpy(out->start, month.start, sizeof(out->start));
	name_of(out->budget, "budget", rule, month.suffix);
	name_of(out->known, "known", rule, month.suffix);
	name_of(out->fresh, "fresh", rule, month.suffix);
	name_of(out->reading, "reading", rule, month.suffix);
}

static bool
is_known(struct limits *limits, const struct budget *budget)
{
	return limit_look(limits, budget->known, 1, BUDGET_MONTH_MS, NULL) ==
	       ERR_LIMIT;
}

/*
 * What the tables have that memory lacks is added, beside what is reserved.  A
 * call that has ended counts in memory before the tables can have it, so that
 * it is never added twice.
 */
static enum err
compare(struct http_request *req, const struct rule *rule,
    const struct budget *budget)
{
	struct limits *limits = req->app->limits;
	int64_t spent;
	enum err err;

	err = read_spent(req, rule, budget->start, &spent);
	if (err == OK)
		err = limit_raise(limits, budget->budget, BUDGET_SPENT, spent,
		    BUDGET_MONTH_MS);
	if (err == OK)
		err = limit_add(limits, budget->known, 1, BUDGET_MONTH_MS);
	return err;
}

/* Do the tables have all that was done before memory began to count? */
static bool
is_behind(const struct app *app)
{
	return app->scoreboard != NULL && scoreboard_is_behind(app->scoreboard);
}

static enum err
know_first(struct http_request *req, const struct rule *rule,
    const struct budget *budget)
{
	if (is_known(req->app->limits, budget))
		return OK;
	return is_behind(req->app) ? ERR_BUSY : compare(req, rule, budget);
}

/* The first reading is waited for; later, one thread compares. */
static enum err
know_spent(struct http_request *req, const struct rule *rule,
    const struct budget *budget)
{
	const struct timespec pause = { .tv_nsec = WAIT_NS };
	struct limits *limits = req->app->limits;
	enum err err;

	for (int turn = 0; turn < WAIT_TURNS; turn++) {
		if (is_known(limits, budget)) {
			if (limit_take(limits, budget->fresh, 1, 1, COMPARE_MS,
				NULL) == OK)
				(void)!compare(req, rule, budget); /* later */
			return OK;
		}
		if (limit_take(limits, budget->reading, 1, 1, READING_MS,
			NULL) != OK) {
			(void)nanosleep(&pause, NULL); /* signals are blocked */
			continue;
		}
		err = know_first(req, rule, budget);
		limit_forget(limits, budget->reading);
		return err;
	}
	return ERR_BUSY;
}

/* --- one call --------------------------------------------------------- */

/* Half of a small context is for the answer, as llm_context_from() has it. */
static int64_t
own_ceiling(const struct catalog_target *target)
{
	int64_t half = target->context / 2;

	return half > 0 && half < ADMIT_ANSWER_TOKENS ? half
						      : ADMIT_ANSWER_TOKENS;
}

/* The provider sees both ceilings, and may keep to either. */
static void
read_members(struct problem_fields *bad, const struct jsonr *body,
    struct size *out)
{
	int64_t newer = 0;
	int64_t older = 0;

	body_int(bad, body, "n", OPTIONAL, 1, CALL_N_MAX, &out->choices);
	body_int(bad, body, "max_completion_tokens", OPTIONAL, 1, INT32_MAX,
	    &newer);
	body_int(bad, body, "max_tokens", OPTIONAL, 1, INT32_MAX, &older);
	out->named = newer > 0 || older > 0;
	if (out->named)
		out->ceiling = newer > older ? newer : older;
}

static int64_t
count_from(const struct call *call)
{
	int64_t count = 0;

	for (; call != NULL; call = call->next)
		count++;
	return count;
}

static enum err
read_size_or_reply(struct http_request *req, const struct call *call,
    struct size *out)
{
	struct problem_fields *bad = problem_fields(req);
	struct arena *arena = arena_new(); /* a parsed body is large */
	const struct jsonr *body = NULL;
	enum err err = ERR_MEMORY;

	*out = (struct size){ .ceiling = own_ceiling(call->target),
		.choices = 1,
		.parts = count_from(call) };
	if (arena != NULL)
		err = call_request(call, arena, &body);
	if (err == OK) {
		out->prompt = usage_of_prompt(body);
		read_members(bad, body, out);
	}
	arena_free(arena);
	if (err == OK && problem_fields_any(bad)) {
		(void)problem_fields_reply(bad);
		err = ERR_INPUT;
	}
	return err;
}

/* What the call costs at most, in pico-dollars; -1 unknown. */
static int64_t
most_cost(const struct call *call, const struct size *size)
{
	const struct call_usage usage = { .prompt = size->prompt,
		.completion = size->choices * size->ceiling,
		.cached = 0 };

	return price_cost(&call->target->price, &usage);
}

static void
give_back(struct admission *admission, struct share *share)
{
	struct limits *limits = admission->app->limits;
	int owner = admission->app->slot;

	if (share->calls[0] != '\0')
		limit_release(limits, share->calls, owner, 1);
	if (share->budget[0] != '\0')
		limit_release(limits, share->budget, owner, share->reserved);
	share->calls[0] = '\0';
	share->budget[0] = '\0';
}

/* The difference between what was taken and what was used. */
static void
settle_tokens(struct limits *limits, struct share *share, int64_t used)
{
	if (share->tokens[0] == '\0')
		return;
	if (used < share->taken)
		limit_give(limits, share->tokens, share->taken - used,
		    &share->window);
	else if (used > share->taken &&
		 limit_add(limits, share->tokens, used - share->taken,
		     MINUTE_MS) != OK)
		log_warn("tokens of a call could not be counted");
	share->tokens[0] = '\0';
}

static void
move(const struct admission *admission, const struct limit_move *spent)
{
	if (limit_move(admission->app->limits, spent) != OK)
		log_warn("the cost of a call could not be counted");
}

/* What it cost takes the place of what was reserved. */
static void
end_share(const struct admission *admission, struct share *share,
    int64_t cost_pico)
{
	struct limit_move used = { .name = share->budget,
		.owner = admission->app->slot,
		.reserved = share->reserved,
		.to = admission->app->slot,
		.amount = cost_pico > 0 ? cost_pico : 0 };

	if (share->ended || share->budget[0] == '\0')
		return;
	move(admission, &used);
	share->ended = true;
	share->reserved = 0;
	share->used = used.amount;
}

/* In the relay thread, before the tables can have it: see compare(). */
static void
ended(struct call *call)
{
	struct admission *admission = call->settle_data;

	for (size_t i = 0; i < admission->count; i++)
		end_share(admission, &admission->shares[i], call->cost_pico);
}

/* In the relay thread, once the record is durable: what was used counts. */
static void
settle(struct call *call)
{
	struct admission *admission = call->settle_data;
	int64_t used =
	    (call->usage.prompt > 0 ? call->usage.prompt : 0) +
	    (call->usage.completion > 0 ? call->usage.completion : 0);

	ended(call);
	for (size_t i = 0; i < admission->count; i++) {
		struct share *share = &admission->shares[i];
		const struct limit_move spent = { .name = share->budget,
			.owner = admission->app->slot,
			.used = share->used,
			.to = BUDGET_SPENT,
			.amount = share->used,
			.lasts_ms = BUDGET_MONTH_MS };

		settle_tokens(admission->app->limits, share, used);
		if (share->budget[0] != '\0')
			move(admission, &spent);
		share->budget[0] = '\0';
		give_back(admission, share);
	}
}

/* Is less left of a than of b, as a share of it?  Of b, none is less. */
static bool
is_tighter(const struct limit_state *a, const struct limit_state *b)
{
	return b->limit < 0 || (double)a->remaining / (double)a->limit <
				   (double)b->remaining / (double)b->limit;
}

static void
note_state(const struct limit_state *state, enum err err,
    struct limit_state *tightest)
{
	if (err == ERR_LIMIT || (err == OK && is_tighter(state, tightest)))
		*tightest = *state;
}

static enum err
reserve_calls(struct http_request *req, const struct rule *rule,
    struct share *share, struct limit_state *tightest)
{
	struct limit_state state = { .limit = -1 };
	char name[BUDGET_NAME_SIZE];
	enum err err;

	if (rule->calls < 0)
		return OK;
	name_of(name, "calls", rule, "");
	err = limit_hold(req->app->limits, &(struct limit_hold){ .name = name,
					       .owner = req->app->slot,
					       .amount = 1,
					       .max = rule->calls,
					       .state = &state });
	note_state(&state, err, tightest);
	if (err == OK)
		memcpy(share->calls, name, BUDGET_NAME_SIZE);
	else if (err == ERR_LIMIT)
		(void)reply_limited(req, "too_many_calls", 1,
		    "too many model calls at the same time");
	return err;
}

/*
 * A ceiling above the whole limit does not keep a call out for ever.  One that
 * is ours takes no more than is left, and leaves the same to each call that
 * comes after it in the request.
 */
static enum err
take_tokens(struct http_request *req, const struct size *size,
    const struct rule *rule, struct share *share, struct limit_state *tightest)
{
	int64_t most = rule->tokens_per_minute;
	int64_t all = size->prompt + size->choices * size->ceiling;
	char name[BUDGET_NAME_SIZE];
	struct limit_part part = { .name = name,
		.least = size->prompt,
		.most = all < most ? all : most,
		.parts = size->parts,
		.max = most,
		.window_ms = MINUTE_MS,
		.state = &share->window };
	enum err err;

	if (most < 0)
		return OK;
	if (size->named && part.most > part.least)
		part.least = part.most;
	name_of(name, "tokens", rule, "");
	err = limit_take_part(req->app->limits, &part, &share->taken);
	note_state(&share->window, err, tightest);
	if (err == OK)
		memcpy(share->tokens, name, BUDGET_NAME_SIZE);
	else if (err == ERR_LIMIT)
		(void)reply_limited(req, "tokens_exceeded",
		    (int)share->window.reset_s,
		    "too many tokens a minute: slow down");
	return err;
}

static void
reply_unknown(struct http_request *req, const char *detail)
{
	(void)problem_send(req,
	    &(struct problem){
		.err = ERR_BUSY, .code = "spend_unknown", .detail = detail });
}

static enum err
reserve_budget(struct http_request *req, struct call *call,
    const struct size *size, const struct rule *rule, struct share *share)
{
	struct budget budget;
	enum err err;

	if (rule->budget_pico < 0)
		return OK;
	if (!size->named)
		call->answer_max = size->ceiling;
	share->reserved = most_cost(call, size);
	if (share->reserved < 0) {
		reply_unknown(req, "there is a budget, and this model has no "
				   "price");
		return ERR_BUSY;
	}
	name_budget(rule, &budget);
	if (know_spent(req, rule, &budget) != OK) {
		reply_unknown(req, "there is a budget, and what was spent of "
				   "it cannot be known now");
		return ERR_BUSY;
	}
	err = limit_hold(req->app->limits,
	    &(struct limit_hold){ .name = budget.budget,
		.owner = req->app->slot,
		.amount = share->reserved,
		.max = rule->budget_pico });
	if (err == OK)
		memcpy(share->budget, budget.budget, BUDGET_NAME_SIZE);
	else if (err == ERR_LIMIT)
		(void)reply_limited(req, "insufficient_quota",
		    seconds_left_of_month(),
		    "the budget of this month does not allow this call");
	return err;
}

static enum err
reserve(struct http_request *req, struct call *call, const struct rule *rule,
    struct share *share, struct limit_state *tightest)
{
	struct size size = { .named = false };
	enum err err = OK;

	if (rule->tokens_per_minute >= 0 || rule->budget_pico >= 0)
		err = read_size_or_reply(req, call, &size);
	if (err == OK)
		err = reserve_calls(req, rule, share, tightest);
	if (err == OK)
		err = take_tokens(req, &size, rule, share, tightest);
	if (err == OK)
		err = reserve_budget(req, call, &size, rule, share);
	if (err != OK && req->status == 0)
		(void)problem_of(req, err);
	return err;
}

static enum err
admit_call(struct http_request *req, struct call *call,
    const struct rule *rules, size_t count, struct limit_state *tightest)
{
	struct admission *admission =
	    arena_alloc(req->arena, sizeof(*admission));
	enum err err = OK;

	if (admission == NULL) {
		(void)problem_of(req, ERR_MEMORY);
		return ERR_MEMORY;
	}
	admission->app = req->app;
	call->settle_data = admission;
	call->ended = ended;
	call->settle = settle;
	for (size_t i = 0; err == OK && i < count; i++) {
		admission->count++;
		err = reserve(req, call, &rules[i], &admission->shares[i],
		    tightest);
	}
	return err;
}

void
admit_undo(struct call *calls)
{
	for (struct call *call = calls; call != NULL; call = call->next) {
		struct admission *admission = call->settle_data;

		for (size_t i = 0;
		     call->settle == settle && i < admission->count; i++) {
			struct share *share = &admission->shares[i];

			settle_tokens(admission->app->limits, share, 0);
			give_back(admission, share);
		}
		call->ended = NULL;
		call->settle = NULL;
	}
}

enum err
admit_calls_or_reply(struct http_request *req, struct call *calls)
{
	struct limit_state tightest = { .limit = -1 };
	struct rule rules[RULES_APPLY];
	size_t count;
	enum err err;

	err = rules_find(req->app->rules, req->db, &req->who, rules, &count);
	if (err != OK)
		(void)problem_of(req, err);
	if (err != OK || count == 0)
		return err;
	for (struct call *call = calls; err == OK && call != NULL;
	     call = call->next)
		err = admit_call(req, call, rules, count, &tightest);
	/* a limit of requests, or the playground's, is told already */
	if (tightest.limit >= 0 && !response_has_header(req, "RateLimit-Limit"))
		admit_headers(req, &tightest);
	if (err != OK)
		admit_undo(calls);
	return err;
}
