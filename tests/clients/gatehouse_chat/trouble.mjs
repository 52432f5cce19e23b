// What a page, a browser or a network makes hard.
import assert from "node:assert/strict";

const MARKDOWN = "Some **bold** `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nlet x = 1;\n```\n";
const withToken = { tag: '<gatehouse-chat token-url="/token"></gatehouse-chat>' };

export async function a_token_route_that_fails_is_told_and_may_be_tried_again({ open, pages, view, visitorToken }) {
  const answers = [
    ["signedOut", { status: 401, json: { error: "Log in." } }],
    ["signedOut", { status: 403, body: "<html>No.</html>", contentType: "text/html" }],
    ["failed", { status: 500, body: "<html>Oh.</html>", contentType: "text/html" }],
    ["failed", { status: 200, body: "<!doctype html><title>Log in</title>", contentType: "text/html" }],
    ["failed", { status: 200, json: { error: "No." } }],
  ];
  await open(withToken);
  let answer;
  await view.page.route("**/token", (route) => route.fulfill(answer));
  for (const [state, next] of answers) {
    answer = next;
    await view.say("Hello");
    await view.state(state);
    assert.equal(await view.answers.count(), 0);
  }
  await view.page.unroute("**/token");
  pages.token = { token: visitorToken };
  await view.button("Try again").click();
  await view.lastAnswer("Hello.");
}

export async function a_token_route_that_hangs_is_given_up({ open, view }) {
  const script = "const real = AbortSignal.timeout; AbortSignal.timeout = (ms) => real.call(AbortSignal, ms / 100);";
  await open({ ...withToken, script });
  await view.page.route("**/token", () => {});
  await view.say("Hello");
  await view.state("failed");
  assert.equal(await view.button("Try again").isVisible(), true);
  await view.page.unrouteAll({ behavior: "ignoreErrors" });
}

export async function storage_that_is_forbidden_is_done_without({ open, upstream, view }) {
  const forbid = (name) => `Object.defineProperty(globalThis, "${name}", { get() { throw new DOMException("No.", "SecurityError"); } });`;
  const script = `${forbid("sessionStorage")} ${forbid("localStorage")} document.querySelector("main").append(document.createElement("gatehouse-chat"));`;
  await open({ tag: "", script });
  upstream.says("Fine.");
  await view.say("Hello");
  await view.lastAnswer("Fine.");
}

export async function two_tabs_show_the_same_conversation({ open, upstream, view, harness }) {
  const tag = '<gatehouse-chat storage="local"></gatehouse-chat>';
  await open({ context: {}, tag });
  const held = upstream.holds("One ", "two.");
  const other = await view.page.context().newPage();
  await other.goto(view.page.url());
  const inOther = other.locator("gatehouse-chat");
  await inOther.locator("textarea").fill("Not sent yet");
  await view.say("Hello");
  held.release(1);
  await view.lastAnswer("One");
  await inOther.getByRole("log").getByText("One").waitFor();
  held.release();
  await view.state("idle");
  await inOther.getByRole("log").getByText("One two.").waitFor();
  await other.locator("gatehouse-chat[state=idle]").waitFor();
  assert.equal(await inOther.locator("textarea").inputValue(), "Not sent yet");
  await inOther.locator("textarea").press("Enter");
  await view.lastAnswer("Hello.");
  assert.equal(upstream.received.length, 2);
  assert.deepEqual(upstream.received[1].messages.map(({ content }) => content), ["Hello", "One two.", "Not sent yet"]);
  await view.button("New conversation").click();
  await inOther.getByText("How can I help?").waitFor();
}

export async function a_long_conversation_makes_a_new_answer_no_slower({ open, upstream, view }) {
  const turn = (at) => (at % 2 ? { role: "assistant", text: MARKDOWN, status: "done" } : { role: "user", text: `Question ${at}?` });
  const messages = Array.from({ length: 198 }, (_, at) => turn(at));
  const kept = JSON.stringify(JSON.stringify({ messages }));
  await open({ tag: "", script: `sessionStorage.setItem("gatehouse-chat:long", ${kept}); document.querySelector("main").innerText = ""; const chat = document.createElement("gatehouse-chat"); chat.setAttribute("storage-key", "long"); document.querySelector("main").append(chat);` });
  await view.chat.locator("table").nth(98).waitFor({ state: "attached" });
  await view.page.evaluate(() => {
    const log = document.querySelector("gatehouse-chat").shadowRoot.querySelector(".log");
    const before = new Set(log.querySelectorAll("article:not(:nth-last-child(1))"));
    globalThis.changed = new Set();
    new MutationObserver((records) => {
      for (const { target } of records) if (before.has(target.closest?.("article"))) globalThis.changed.add(target);
    }).observe(log, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  upstream.says(...MARKDOWN.repeat(10).match(/[^]{1,8}/g));
  await view.say("One more?");
  await view.state("idle");
  await view.chat.locator("table").nth(108).waitFor({ state: "attached" });
  assert.equal(await view.page.evaluate(() => globalThis.changed.size), 0, "what was said before is not drawn again");
}

export async function a_pages_css_has_the_state_set_only_when_it_changes({ open, upstream, view }) {
  upstream.says(...Array.from({ length: 200 }, (_, at) => `${at} `));
  await open();
  await view.page.evaluate(() => {
    const chat = document.querySelector("gatehouse-chat");
    globalThis.states = [];
    new MutationObserver((records) => globalThis.states.push(...records.map(() => chat.getAttribute("state")))).observe(chat, { attributeFilter: ["state"] });
  });
  await view.say("Count");
  await view.state("idle");
  const states = await view.page.evaluate(() => globalThis.states);
  assert.ok(states.length <= 4, JSON.stringify(states));
}

export async function an_element_may_be_moved_taken_out_and_be_in_no_page_at_all({ open, upstream, view }) {
  const held = upstream.holds("One ", "two ", "three.");
  await open();
  await view.say("Count");
  held.release(1);
  await view.lastAnswer("One");
  await view.page.evaluate(() => {
    globalThis.chat = document.querySelector("gatehouse-chat");
    document.body.append(globalThis.chat);
    globalThis.chat.remove();
  });
  held.release();
  await view.page.waitForFunction(() => globalThis.chat.getAttribute("state") === "idle");
  await view.page.evaluate(() => document.body.append(globalThis.chat));
  await view.lastAnswer("One two three.");
  const messages = await view.page.evaluate(() => {
    const other = document.createElement("gatehouse-chat");
    for (const method of ["open", "close", "focus", "clear", "stop", "retry"]) other[method]();
    other.send("Hello");
    return other.messages;
  });
  assert.deepEqual(messages, []);
}

export async function a_long_block_of_code_grows_where_it_is({ open, upstream, view }) {
  const lines = Array.from({ length: 3000 }, (_, at) => `const value${at} = compute(${at}, "with some words");\n`);
  const held = upstream.holds("```js\n", ...lines.slice(0, 20), "", ...lines.slice(20), "```\n");
  await open();
  await view.say("Code, please");
  held.release(21);
  await view.lastAnswer("value19");
  const before = await view.chat.locator("pre").elementHandle();
  await view.chat.getByRole("button", { name: "Copy" }).first().focus();
  held.release();
  await view.state("idle");
  await view.lastAnswer("value2999");
  assert.equal(await before.evaluate((pre) => pre.isConnected), true);
  await view.page.keyboard.press("Enter");
  await view.chat.getByText("✓").waitFor();
  assert.equal(await view.page.evaluate(() => navigator.clipboard.readText()), lines.join("").trimEnd());
  assert.equal(await before.evaluate((pre) => pre.textContent), lines.join("").trimEnd());
  const box = await view.answers.last().boundingBox();
  assert.ok(box.width < 800, "it scrolls to its side");
}
