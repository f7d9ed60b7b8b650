// openai.test.mjs - the official OpenAI package against minuted.  The address
// and a key come from test_clients.py.

import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";

const baseURL = process.env.MINUTED_URL + "/v1";
const client = new OpenAI({ baseURL, apiKey: process.env.MINUTED_KEY, maxRetries: 0 });
const tools = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];

const ask = (content, more = {}) => ({
  model: "fake",
  messages: [{ role: "user", content }],
  ...more,
});

test("a completion, with its usage", async () => {
  const answer = await client.chat.completions.create(ask("chunks=4"));
  assert.equal(answer.choices[0].message.content, "word0 word1 word2 word3 ");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.completion_tokens, 4);
});

test("a stream, chunk by chunk", async () => {
  const stream = await client.chat.completions.create(
    ask("chunks=5 delay=0.02", { stream: true }),
  );
  const words = [];
  for await (const chunk of stream) words.push(chunk.choices[0]?.delta?.content ?? "");
  assert.equal(words.join(""), "word0 word1 word2 word3 word4 ");
});

test("a stream with usage, when it is asked for", async () => {
  const stream = await client.chat.completions.create(
    ask("chunks=2", { stream: true, stream_options: { include_usage: true } }),
  );
  let usage;
  for await (const chunk of stream) usage = chunk.usage ?? usage;
  assert.equal(usage.total_tokens, 13);
});

test("a stream that its reader leaves", async () => {
  const stream = await client.chat.completions.create(
    ask("endless=1 delay=0.01", { stream: true }),
  );
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
});

test("a tool call, whole and streamed", async () => {
  const whole = await client.chat.completions.create(ask("tool=1", { tools }));
  const call = whole.choices[0].message.tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Oslo" });
  const final = await client.chat.completions
    .stream(ask("tool=1 chunks=0", { tools }))
    .finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.name, "weather");
  assert.equal(final.choices[0].finish_reason, "tool_calls");
});

test("the result of a tool goes back", async () => {
  const call = { id: "call_1", type: "function", function: { name: "weather", arguments: "{}" } };
  const answer = await client.chat.completions.create({
    model: "fake",
    tools,
    messages: [
      { role: "user", content: "chunks=1" },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: "rain" },
    ],
  });
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("the list of models, and one", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("echo") && names.includes("fake"));
  assert.equal((await client.models.retrieve("fake")).id, "fake");
});

test("the built-in model", async () => {
  const answer = await client.chat.completions.create(ask("say this", { model: "echo" }));
  assert.match(answer.choices[0].message.content, /say this/);
});

const refuses = (kind, status, promise) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error}`);
    assert.equal(error.status, status);
    assert.ok(error.message && error.requestID, `${error}`);
    return true;
  });

test("typed errors", async (t) => {
  const create = (...args) => client.chat.completions.create(ask(...args));
  await t.test("AuthenticationError", () => {
    const stranger = new OpenAI({ baseURL, apiKey: "mnt_wrong", maxRetries: 0 });
    return refuses(OpenAI.AuthenticationError, 401, stranger.models.list());
  });
  await t.test("NotFoundError", () =>
    refuses(OpenAI.NotFoundError, 404, create("x", { model: "no-such-model" })));
  await t.test("BadRequestError", () =>
    refuses(OpenAI.BadRequestError, 400, create("x", { messages: [] })));
  await t.test("RateLimitError, with Retry-After", async () => {
    const error = await create("status=429 retry_after=7").catch((e) => e);
    assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
    assert.equal(error.headers.get("retry-after"), "7");
  });
  await t.test("InternalServerError", () =>
    refuses(OpenAI.InternalServerError, 502, create("status=500")));
  await t.test("the same before a stream", () =>
    refuses(OpenAI.InternalServerError, 502, create("status=500", { stream: true })));
});
