// gatehouse.js against a server that is only a function. test_module.py runs this, and has the tests with the real one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gatehouse, GatehouseError } from "../../../app/web/static/gatehouse.js";
import { clientOf, collect, respond, respondJson, skipWaits } from "./stand_in.mjs";

const STREAM = { headers: { "X-Stream-Id": "s1", "X-Request-ID": "r1" } };
const DONE = '{"done":true,"finishReason":"stop","usage":null,"model":"m","id":"c1"}';
const ANSWER = [
  ": heartbeat\n\n",
  'id: 1\ndata: {"token":"Grüße 😀 \u2028\u2029","p":"xxxx"}    \n\n',
  'id: 2\ndata: {"tool":{"id":"t","name":"n","status":"running"}}\n\n',
  'id: 3\ndata: {"token":"\\n\\ndata: {}"}\n\n: heartbeat\n\n',
  `id: 4\ndata: ${DONE}        \n\n`,
].join("");
const EVENTS = [
  { type: "token", token: "Grüße 😀 \u2028\u2029" },
  { type: "tool", tool: { id: "t", name: "n", status: "running" } },
  { type: "token", token: "\n\ndata: {}" },
  { type: "done", finishReason: "stop", usage: null, model: "m", id: "c1", requestId: "r1" },
];
const lost = () => new TypeError("network error");
const event = (id, data) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
const refusal = (status, code, headers) => respondJson({ error: "No.", code, requestId: "r9" }, { status, headers });

test("a stream that is cut at any byte, or at all of them", async () => {
  for (const text of [ANSWER, ANSWER.replaceAll("\n", "\r\n")]) {
    const bytes = new TextEncoder().encode(text);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { client } = clientOf([respond([bytes.slice(0, cut), bytes.slice(cut)], STREAM)]);
      assert.deepEqual(await collect(client.streamChat("Hi")), EVENTS, `cut at ${cut}`);
    }
    const { client } = clientOf([respond([...bytes].map((byte) => Uint8Array.of(byte)), STREAM)]);
    assert.deepEqual(await collect(client.streamChat("Hi")), EVENTS);
  }
});

test("a connection that is lost at any byte is made again, and no event comes twice or not at all", async (t) => {
  skipWaits(t);
  const bytes = new TextEncoder().encode(ANSWER);
  for (let end = 0; end < bytes.length - 10; end += 1) {
    const { client, requests } = clientOf([
      respond([bytes.slice(0, end), lost()], STREAM),
      ({ headers }) => {
        const seen = Number(headers["Last-Event-ID"]);
        return respond([ANSWER.slice(seen ? ANSWER.indexOf(`id: ${seen + 1}\n`) : 0)], STREAM);
      },
    ]);
    const stream = client.streamChat("Hi");
    const events = await collect(stream);
    assert.deepEqual(events.filter(({ type }) => type !== "retrying"), EVENTS, `lost at ${end}`);
    assert.deepEqual([requests.length, stream.lastEventId, stream.streamId], [2, "4", "s1"]);
    assert.equal(requests[1].url, "https://ai.example/api/chat/stream/s1");
    assert.equal(requests[1].method, "GET");
  }
});

test("a connection that ends without a word is lost as well", async (t) => {
  skipWaits(t);
  const { client, requests } = clientOf([
    respond([event(1, { token: "a" })], STREAM),
    respond([event(2, { token: "b" }), `id: 3\ndata: ${DONE}\n\n`], STREAM),
  ]);
  const events = await collect(client.streamChat("Hi"));
  assert.deepEqual(events.map(({ type }) => type), ["token", "retrying", "token", "done"]);
  assert.equal(requests[1].headers["Last-Event-ID"], "1");
});

test("a connection without even a heartbeat is dead, and is made again", async (t) => {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (run, ms) => real(run, ms === 40_000 ? 20 : 0);
  t.after(() => (globalThis.setTimeout = real));
  const silent = new Response(new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode(": hi\n\n")) }), STREAM);
  const { client } = clientOf([silent, respond([ANSWER], STREAM)]);
  const events = await collect(client.streamChat("Hi"));
  assert.deepEqual(events.slice(1), EVENTS);
});

test("connections are made again at once, then ever more slowly, and not for ever", async (t) => {
  const waits = skipWaits(t);
  const { client, requests } = clientOf([respond([event(1, { token: "a" }), lost()], STREAM), lost()]);
  await assert.rejects(collect(client.streamChat("Hi")), { name: "GatehouseError", code: "network_error", status: null });
  assert.deepEqual(waits, [0, 0.5, 1, 2, 4, 8]);
  const gets = requests.filter(({ method }) => method === "GET");
  assert.equal(gets.length, 6);
});

test("a server that restarts, and a proxy without one, are waited for", async (t) => {
  skipWaits(t);
  const draining = refusal(503, "draining", { "Retry-After": "5" });
  const gateway = respond(["<html>502</html>"], { status: 502 });
  const { client } = clientOf([respond([event(1, { token: "a" }), lost()], STREAM), draining, gateway, respond([ANSWER], STREAM)]);
  const events = await collect(client.streamChat("Hi"));
  assert.deepEqual(events.filter(({ type }) => type === "retrying").map(({ after }) => after), [0, 5, 0.5]);
  assert.equal(events.at(-1).type, "done");
});

test("what the server has forgotten is an error", async (t) => {
  skipWaits(t);
  const { client } = clientOf([respond([event(1, { token: "a" }), lost()], STREAM), refusal(404, "not_found")]);
  await assert.rejects(collect(client.streamChat("Hi")), { code: "not_found", status: 404 });
});

test("a stream that the server does not keep is not asked for again", async () => {
  const { client, requests } = clientOf([respond([event(1, { token: "a" }), lost()])]);
  await assert.rejects(collect(client.streamChat("Hi", { resumable: false })), { code: "network_error" });
  assert.equal(requests.length, 1);
  assert.equal(JSON.parse(requests[0].body).resumable, false);
});

test("a stream that has not begun is not sent twice, since both could be billed", async () => {
  const { client, requests } = clientOf([lost()]);
  await assert.rejects(collect(client.streamChat("Hi")), { code: "network_error" });
  assert.equal(requests.length, 1);
});

test("an error amid the answer", async () => {
  const failed = { error: "The model's answer stopped.", code: "upstream_truncated", requestId: "r1" };
  const { client, requests } = clientOf([respond([event(1, { token: "a" }), event(2, failed)], STREAM)]);
  const told = { name: "GatehouseError", message: failed.error, code: "upstream_truncated", requestId: "r1", status: null };
  await assert.rejects(collect(client.streamChat("Hi")), told);
  assert.equal(requests.length, 1); // not stopped: it is over
});

test("tool calls come before the end, complete", async () => {
  const toolCalls = [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }];
  const { client } = clientOf([respond([event(1, { done: true, toolCalls, finishReason: "tool_calls" })], STREAM)]);
  const [calls, done] = await collect(client.streamChat("Hi"));
  assert.deepEqual(calls, { type: "toolCalls", toolCalls });
  assert.deepEqual([done.type, done.toolCalls], ["done", toolCalls]);
});

test("leaving the loop ends the answer on the server", async () => {
  const { client, requests } = clientOf([respond([ANSWER], STREAM), respond([], { status: 204 })]);
  for await (const { type } of client.streamChat("Hi")) if (type === "token") break;
  await new Promise(setImmediate);
  assert.equal(requests[1].url, "https://ai.example/api/chat/stream/s1/stop");
  assert.equal(requests[1].method ?? "POST", "POST");
});

test("a stream that ended by itself is not stopped", async () => {
  const { client, requests } = clientOf([respond([ANSWER], STREAM)]);
  const stream = client.streamChat("Hi");
  await collect(stream);
  await stream.stop();
  assert.equal(requests.length, 1);
});

test("stop() ends a wait as well, and never fails", async () => {
  const { client } = clientOf([refusal(429, "rate_limited", { "Retry-After": "60" }), lost()]);
  const stream = client.streamChat("Hi");
  const events = [];
  for await (const each of stream) {
    events.push(each);
    await stream.stop();
  }
  assert.deepEqual(events, [{ type: "retrying", after: 60 }]);
});

test("a 429 and a 503 are waited for, twice", async (t) => {
  const waits = skipWaits(t);
  const busy = () => refusal(429, "rate_limited", { "Retry-After": "7" });
  const away = () => refusal(503, "circuit_open", { "Retry-After": "2" });
  const told = [];
  const { client, requests } = clientOf([busy, away, () => respondJson({ reply: "ok" })]);
  const answer = await client.chat("Hi", { onRetrying: (waiting) => told.push(waiting) });
  assert.equal(answer.reply, "ok");
  assert.deepEqual(waits, [7, 2]);
  assert.deepEqual(told, [{ type: "retrying", after: 7 }, { type: "retrying", after: 2 }]);
  assert.equal(new Set(requests.map(({ headers }) => headers["Idempotency-Key"])).size, 1);

  const never = clientOf([busy]);
  await assert.rejects(never.client.chat("Hi"), { status: 429, code: "rate_limited", retryAfter: 7, requestId: "r9" });
  assert.equal(never.requests.length, 3);
  const patient = clientOf([busy]);
  await assert.rejects(patient.client.chat("Hi", { retries: 5 }), { status: 429 });
  assert.equal(patient.requests.length, 6);
});

test("what would not help, or take too long, is not tried again", async (t) => {
  skipWaits(t);
  for (const answer of [
    () => refusal(429, "budget_exceeded", { "Retry-After": "3600", "X-Should-Retry": "false" }),
    () => refusal(429, "rate_limited", { "Retry-After": "1000" }),
    () => refusal(429, "budget_exceeded"),
    () => refusal(400, "invalid_request", { "Retry-After": "1" }),
    () => refusal(502, "upstream_failed", { "Retry-After": "1" }),
    () => refusal(504, "upstream_timeout"),
    () => refusal(409, "idempotency_in_doubt"),
  ]) {
    const { client, requests } = clientOf([answer]);
    await assert.rejects(client.chat("Hi"), { name: "GatehouseError" });
    await assert.rejects(collect(client.streamChat("Hi")), { name: "GatehouseError" });
    assert.equal(requests.length, 2);
  }
});

test("a plain call whose answer is lost is sent again with the same key", async (t) => {
  const waits = skipWaits(t);
  const { client, requests } = clientOf([lost(), respond(['{"rep', lost()]), respondJson({ reply: "ok" })]);
  assert.equal((await client.chat("Hi")).reply, "ok");
  assert.deepEqual(waits, [0.5, 1]);
  const keys = requests.map(({ headers }) => headers["Idempotency-Key"]);
  assert.equal(new Set(keys).size, 1);
  assert.match(keys[0], /^[!-~]{20,255}$/);
  const other = clientOf([respondJson({})]);
  await other.client.chat("Hi", { idempotencyKey: "mine" });
  assert.equal(other.requests[0].headers["Idempotency-Key"], "mine");
});

/** Pretend to be a browser without a network; what is returned brings it back. */
function goOffline(test) {
  const events = new EventTarget();
  const navigator = { onLine: false };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  globalThis.addEventListener = (...listener) => events.addEventListener(...listener);
  test.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.navigator;
    if (before) Object.defineProperty(globalThis, "navigator", before);
  });
  return () => {
    navigator.onLine = true;
    events.dispatchEvent(new Event("online"));
  };
}

for (const [name, answers, expected] of [
  ["goes on", [respond([event(1, { token: "a" }), lost()], STREAM), respond([ANSWER], STREAM)], ["token", "offline", "retrying"]],
  ["begins", [lost(), respond([ANSWER], STREAM)], ["offline", "retrying", "token"]],
]) {
  test(`without a network a stream waits until there is one, and then ${name}`, async (t) => {
    skipWaits(t);
    const goOnline = goOffline(t);
    const { client, requests } = clientOf(answers);
    const types = [];
    for await (const { type } of client.streamChat("Hi")) {
      types.push(type);
      if (type !== "offline") continue;
      assert.equal(requests.length, 1);
      setImmediate(goOnline);
    }
    assert.deepEqual(types.slice(0, 3), expected);
    assert.equal(types.at(-1), "done");
    assert.equal(requests.length, 2);
  });
}

test("an aborted signal ends a call, a stream and a wait", async () => {
  const waiting = () => refusal(503, "draining", { "Retry-After": "60" });
  for (const call of [(g, signal) => g.chat("Hi", { signal }), (g, signal) => collect(g.streamChat("Hi", { signal }))]) {
    const { client } = clientOf([waiting]);
    await assert.rejects(call(client, AbortSignal.abort()), { name: "AbortError" });
    await assert.rejects(call(client, AbortSignal.timeout(20)), { name: "TimeoutError" });
  }
  const controller = new AbortController();
  const { client, requests } = clientOf([respond([event(1, { token: "a" }), event(2, { token: "b" })], STREAM)]);
  const reading = async () => {
    for await (const { type } of client.streamChat("Hi", { signal: controller.signal })) {
      assert.equal(type, "token");
      controller.abort(new Error("enough"));
    }
  };
  await assert.rejects(reading(), { message: "enough" });
  await new Promise(setImmediate);
  assert.match(requests[1].url, /\/stop$/);
});

test("an error names the field that is wrong", () => {
  for (const [message, field] of [
    ["temperature: should be less than or equal to 2.", "temperature"],
    ["images.2: is damaged.", "images.2"],
    ["schema.properties.age: must be in \"required\"", "schema.properties.age"],
    ["Missing userMessage (or message, or messages).", "userMessage"],
    ["Missing prompt.", "prompt"],
    ["Unknown field max_tokens: did you mean maxTokens?", "max_tokens"],
    ["Too many requests in a short time.", null],
    ["The image cannot be used.", null],
  ]) {
    assert.equal(new GatehouseError(message).field, field, message);
  }
});

test("an answer that is not the server's own", async () => {
  for (const [answer, message] of [
    [respond(["<html>Bad Gateway</html>"], { status: 502 }), "The server answered with the status 502."],
    [respondJson(null, { status: 500 }), "The server answered with the status 500."],
    [respondJson({ error: { message: "x" } }, { status: 404 }), "The server answered with the status 404."],
  ]) {
    await assert.rejects(clientOf([answer]).client.chat("Hi"), { message, name: "GatehouseError" });
  }
  const portal = clientOf([() => respond(["<html>Log in to this Wi-Fi</html>"])]);
  await assert.rejects(portal.client.chat("Hi", { retries: 0 }), { code: "network_error" });
  await assert.rejects(collect(portal.client.streamChat("Hi")), { name: "GatehouseError" });
});

test("files are uploaded, URLs are sent as they are", async () => {
  const { client, requests } = clientOf([() => respondJson({ reply: "ok" })]);
  const files = [new File(["1"], "a.png"), new Blob(["2"])];
  await client.vision("What?", files, { detail: "low", variables: { a: 1 }, maxTokens: 5 });
  const form = requests[0].body;
  assert.ok(form instanceof FormData);
  assert.equal(requests[0].headers["Content-Type"], undefined); // fetch adds the boundary
  assert.deepEqual([...form.keys()], ["prompt", "detail", "variables", "maxTokens", "image", "image"]);
  assert.deepEqual([form.get("variables"), form.get("maxTokens"), form.get("image").name], ['{"a":1}', "5", "a.png"]);
  await client.vision("What?", "https://example.com/a.png");
  assert.deepEqual(JSON.parse(requests[1].body), { prompt: "What?", images: ["https://example.com/a.png"] });
});

test("the bodies and addresses of all calls", async () => {
  const { client, requests } = clientOf([() => respondJson({})], { url: "https://ai.example/", headers: { "X-Tag": "1" } });
  const messages = [{ role: "user", content: "Hi" }];
  await client.chat("Hi", { model: "m" });
  await client.chat(messages);
  await client.embed(["a"], { dimensions: 2 });
  await client.similarity("a", "b");
  await client.similarity("q", ["a", "b"], { topK: 1 });
  await client.structured("Anna", { schemaName: "contact" });
  await client.usage({ by: "day" });
  assert.deepEqual(
    requests.map(({ url, body }) => [url.slice("https://ai.example".length), body && JSON.parse(body)]),
    [
      ["/api/chat", { messages, model: "m" }],
      ["/api/chat", { messages }],
      ["/api/embeddings", { input: ["a"], dimensions: 2 }],
      ["/api/embeddings/similarity", { a: "a", b: "b" }],
      ["/api/embeddings/similarity", { query: "q", documents: ["a", "b"], topK: 1 }],
      ["/api/structured", { messages: [{ role: "user", content: "Anna" }], schemaName: "contact" }],
      ["/api/usage?by=day", undefined],
    ],
  );
  assert.ok(requests.every(({ headers }) => headers["X-Tag"] === "1" && !headers.Authorization));
});

test("each response is shown before it is read", async (t) => {
  skipWaits(t);
  const seen = [];
  const { client } = clientOf([refusal(429, "rate_limited", { "Retry-After": "1" }), respondJson({ reply: "ok" })]);
  await client.chat("Hi", { onResponse: ({ status }) => seen.push(status) });
  assert.deepEqual(seen, [429, 200]);
});

test("a stream that a page has left is read on, or is over", async () => {
  const { client, requests } = clientOf([respond([ANSWER], STREAM), respond([], { status: 204 })]);
  assert.deepEqual((await collect(client.resumeStream("s1", { lastEventId: "0" }))).at(-1).type, "done");
  assert.deepEqual(await collect(client.resumeStream("s1", { lastEventId: "4" })), []);
  assert.deepEqual(requests.map(({ headers }) => headers["Last-Event-ID"]), ["0", "4"]);
});

test("without a url it calls the page's own site", async () => {
  let asked;
  const g = new Gatehouse({ fetch: async (url) => ((asked = url), respondJson({})) });
  await g.chat("Hi");
  assert.equal(asked, "/api/chat");
});
