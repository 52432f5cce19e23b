// How gatehouse.js keeps its visitor's token, against a server that is only a function.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientOf, collect, respond, respondJson } from "./stand_in.mjs";

const T0 = Date.parse("2026-11-20T12:00:00Z");
const at = (seconds) => new Date(T0 + seconds * 1000).toISOString();
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const jwt = (from, to, n = 0) => `${base64url({ alg: "HS256" })}.${base64url({ iat: T0 / 1000 + from, exp: T0 / 1000 + to, n, ä: "😀?>" })}.s`;

/** Set the clock to some seconds after T0. */
function setClock(test, seconds) {
  const real = Date.now;
  if (!test.hasClock) test.after(() => (Date.now = real));
  test.hasClock = true;
  Date.now = () => T0 + seconds * 1000;
}

/** A client of a server that takes all but the refused tokens, and the tokens that came with its requests. */
function clientWith(token, { refused = [] } = {}) {
  const sent = [];
  const answer = ({ headers }) => {
    sent.push(headers.Authorization?.replace("Bearer ", "") ?? null);
    if (refused.includes(sent.at(-1))) return respondJson({ error: "No.", code: "unauthenticated" }, { status: 401 });
    return respondJson({ reply: "ok" });
  };
  return { g: clientOf([answer], { token }).client, sent };
}

/** A source of the tokens t1, t2 …, each good for as long as told, and how often it was asked. */
function sourceOf(make) {
  const source = async () => make((source.calls += 1));
  source.calls = 0;
  return source;
}

for (const [name, make] of Object.entries({
  "a response": (n) => respondJson({ token: `t${n}`, tokenId: "x", expiresAt: at(900 * n) }),
  "an object": (n) => ({ token: `t${n}`, expiresAt: at(900 * n) }),
  "a JWT": (n) => jwt(900 * (n - 1), 900 * n, n),
  "a response with a bare JWT": (n) => respond([jwt(900 * (n - 1), 900 * n, n)]),
})) {
  test(`${name} is renewed thirty seconds before it expires`, async (t) => {
    const source = sourceOf(make);
    const { g } = clientWith(source);
    for (const [now, calls] of [[0, 1], [869, 1], [871, 2], [1769, 2], [1771, 3]]) {
      setClock(t, now);
      await g.chat("Hi");
      assert.equal(source.calls, calls, `after ${now} s`);
    }
  });
}

test("a token of a minute or less is not fetched for each call", async (t) => {
  for (const [lifetime, renewed] of [[35, 6], [20, 11]]) {
    setClock(t, 0);
    const source = sourceOf((n) => ({ token: `t${n}`, expiresAt: at(lifetime * n) }));
    const { g } = clientWith(source);
    await g.chat("Hi");
    setClock(t, renewed - 2);
    await g.chat("Hi");
    assert.equal(source.calls, 1);
    setClock(t, renewed);
    await g.chat("Hi");
    assert.equal(source.calls, 2);
  }
});

test("twenty calls at once wait for one renewal", async (t) => {
  setClock(t, 0);
  const source = sourceOf((n) => ({ token: `t${n}`, expiresAt: at(900 * n) }));
  const { g, sent } = clientWith(source);
  const twenty = () => Promise.all(Array.from({ length: 20 }, () => g.chat("Hi")));
  await twenty();
  setClock(t, 880);
  await twenty();
  assert.equal(source.calls, 2);
  assert.deepEqual(sent, [...Array(20).fill("t1"), ...Array(20).fill("t2")]);
});

test("twenty refused calls are answered after one renewal", async () => {
  const source = sourceOf((n) => `t${n}`);
  const { g, sent } = clientWith(source, { refused: ["t1"] });
  const answers = await Promise.all(Array.from({ length: 20 }, () => g.chat("Hi")));
  assert.ok(answers.every(({ reply }) => reply === "ok"));
  assert.equal(source.calls, 2);
  assert.equal(sent.length, 40);
});

test("a 401 that stays is an error, and not a loop", async () => {
  const source = sourceOf((n) => `t${n}`);
  const { g, sent } = clientWith(source, { refused: ["t1", "t2", "t3"] });
  await assert.rejects(g.chat("Hi"), { status: 401, code: "unauthenticated" });
  assert.deepEqual(sent, ["t1", "t2"]);
  const same = clientWith(sourceOf(() => "t1"), { refused: ["t1"] });
  await assert.rejects(same.g.chat("Hi"), { status: 401 });
  assert.deepEqual(same.sent, ["t1"]);
  const fixed = clientWith("t1", { refused: ["t1"] });
  await assert.rejects(fixed.g.chat("Hi"), { status: 401 });
  assert.deepEqual(fixed.sent, ["t1"]);
});

test("a stream's token is renewed as well, also when its connection was lost", async () => {
  const source = sourceOf((n) => `t${n}`);
  const lostAfterOne = respond(['id: 1\ndata: {"token":"a"}\n\n', new TypeError("lost")], { headers: { "X-Stream-Id": "s1" } });
  const answers = [
    () => lostAfterOne,
    () => respondJson({ error: "No.", code: "unauthenticated" }, { status: 401 }),
    () => respond(['id: 2\ndata: {"done":true}\n\n']),
  ];
  const { client, requests } = clientOf(answers, { token: source });
  assert.equal((await collect(client.streamChat("Hi"))).at(-1).type, "done");
  assert.deepEqual(requests.map(({ headers }) => headers.Authorization), ["Bearer t1", "Bearer t1", "Bearer t2"]);
});

test("no token is no credential", async () => {
  for (const source of [undefined, null, "", async () => null, () => undefined, () => respond([""])]) {
    const { g, sent } = clientWith(source);
    await g.chat("Hi");
    assert.deepEqual(sent, [null]);
  }
});

test("a page that gets no token is told why", async () => {
  for (const [source, told] of [
    [() => respondJson({ error: "Log in." }, { status: 403 }), { status: 403 }],
    [() => respond(["<html>"], { status: 500, headers: { "Retry-After": "3" } }), { status: 500, retryAfter: 3 }],
    [() => Promise.reject(new TypeError("offline")), { status: null }],
    [() => respond(["<!doctype html>\n<title>My app</title>"]), { status: null }],
    [() => respondJson({ error: "Log in." }), { status: null }],
  ]) {
    const { g, sent } = clientWith(source);
    await assert.rejects(g.chat("Hi"), { name: "GatehouseError", code: "token_failed", ...told });
    assert.deepEqual(sent, []);
  }
});

test("while a token is still good, it does not matter that it cannot be renewed", async (t) => {
  setClock(t, 0);
  const source = sourceOf((n) => (n === 1 ? { token: "t1", expiresAt: at(900) } : Promise.reject(new Error("away"))));
  const { g, sent } = clientWith(source);
  await g.chat("Hi");
  setClock(t, 880);
  await g.chat("Hi");
  assert.deepEqual(sent, ["t1", "t1"]);
  setClock(t, 901);
  await assert.rejects(g.chat("Hi"), { code: "token_failed" });
});

test("a clock that is wrong does not fetch a token for each call", async (t) => {
  for (const wrong of [-7200, 7200]) {
    setClock(t, wrong);
    const source = sourceOf((n) => ({ token: jwt(0, 900, n), expiresAt: at(900) }));
    const { g } = clientWith(source);
    await g.chat("Hi");
    setClock(t, wrong + 860);
    await g.chat("Hi");
    assert.equal(source.calls, 1, `${wrong} s off`);
    setClock(t, wrong + 880);
    await g.chat("Hi");
    assert.equal(source.calls, 2, `${wrong} s off`);
  }
});

test("how long a token is good is told by the site's clock, not by the visitor's", async (t) => {
  const date = (seconds) => new Date(T0 + seconds * 1000).toUTCString();
  for (const wrong of [-3600, -600, 590, 3590]) {
    for (const make of [(n) => ({ token: `t${n}`, expiresAt: at(3600) }), (n) => ({ token: jwt(0, 3600, n), expiresAt: at(3600) })]) {
      setClock(t, wrong);
      const source = sourceOf((n) => respondJson(make(n), { headers: { Date: date(0) } }));
      const { g } = clientWith(source);
      for (const [now, calls] of [[0, 1], [3560, 1], [3580, 2]]) {
        setClock(t, wrong + now);
        await g.chat("Hi");
        assert.equal(source.calls, calls, `${wrong} s off, after ${now} s`);
      }
    }
  }
});

test("who gives up waiting for a token leaves the others waiting", async () => {
  let give;
  const { g, sent } = clientWith(() => new Promise((resolve) => (give = resolve)));
  const controller = new AbortController();
  const left = g.chat("Hi", { signal: controller.signal });
  const stays = g.chat("Hi");
  controller.abort();
  await assert.rejects(left, { name: "AbortError" });
  give("t1");
  assert.equal((await stays).reply, "ok");
  assert.deepEqual(sent, ["t1"]);
});
