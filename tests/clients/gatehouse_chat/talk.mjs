// What a visitor does with a conversation.
import assert from "node:assert/strict";
import { startProxy } from "../gatehouse_js/proxy.mjs";

export async function streams_and_shows_markdown({ open, upstream, view }) {
  const held = upstream.holds("# Title\n\nSome ", "**bold** text", "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
  await open();
  await view.say("Hello");
  await view.state("waiting");
  held.release(1);
  await view.lastAnswer("Some");
  await view.state("streaming");
  held.release();
  await view.state("idle");
  const answer = view.answers.last();
  assert.equal(await answer.locator("h3").textContent(), "Title");
  assert.equal(await answer.locator("strong").textContent(), "bold");
  assert.equal(await answer.locator("td").count(), 2);
  assert.deepEqual(upstream.received[0].messages, [{ role: "user", content: "Hello" }]);
}

export async function an_earlier_answer_is_part_of_the_next_request({ open, upstream, view }) {
  upstream.says("First.");
  await open();
  await view.say("One");
  await view.state("idle");
  await view.say("Two");
  await view.lastAnswer("Hello.");
  assert.deepEqual(upstream.received[1].messages, [
    { role: "user", content: "One" },
    { role: "assistant", content: "First." },
    { role: "user", content: "Two" },
  ]);
}

export async function stop_ends_the_answer_here_and_at_the_model({ open, upstream, view }) {
  const held = upstream.holds("Begun ", "and ended");
  await open();
  await view.say("Hello");
  held.release(1);
  await view.lastAnswer("Begun");
  await view.button("Stop").click();
  await view.lastAnswer("Stopped");
  await view.state("idle");
  await held.left;
  assert.equal(await view.notice.isVisible(), false);
}

export async function what_failed_is_asked_again_by_a_button({ open, upstream, view }) {
  upstream.fails(500, "server_error");
  upstream.says("Now it works.");
  await open();
  await view.say("Hello");
  await view.state("failed");
  assert.match(await view.notice.textContent(), /Something went wrong\. Reference: \w+/);
  await view.button("Try again").click();
  await view.lastAnswer("Now it works.");
  assert.equal(await view.asked.count(), 1);
  assert.equal(await view.notice.isVisible(), false);
}

export async function an_answer_is_given_anew({ open, upstream, view }) {
  upstream.says("The first.");
  upstream.says("The second.");
  await open();
  await view.say("Hello");
  await view.lastAnswer("The first.");
  await view.button("Answer again").click();
  await view.lastAnswer("The second.");
  await view.state("idle");
  assert.equal(await view.answers.count(), 1);
  assert.deepEqual(upstream.received[1].messages, [{ role: "user", content: "Hello" }]);
}

export async function a_new_conversation_forgets_the_old_one({ open, upstream, view }) {
  const held = upstream.holds("Begun ", "never");
  await open();
  await view.say("Hello");
  held.release(1);
  await view.lastAnswer("Begun");
  await view.button("New conversation").click();
  await view.chat.getByText("How can I help?").waitFor();
  await held.left;
  assert.equal(await view.answers.count(), 0);
  assert.equal(await view.page.evaluate(() => sessionStorage.length), 0);
}

export async function code_and_answers_are_copied({ open, upstream, view }) {
  upstream.says("Look:\n\n```js\nlet a = 1;\n```");
  await open();
  await view.say("Hello");
  await view.state("idle");
  const copied = (text) => view.page.waitForFunction(async (text) => (await navigator.clipboard.readText()) === text, text);
  await view.answers.last().locator(".code").getByRole("button", { name: "Copy" }).click();
  await view.chat.getByText("Copied").waitFor({ state: "attached" });
  await copied("let a = 1;");
  await view.answers.last().locator("[part=actions]").getByRole("button", { name: "Copy" }).click();
  await copied("Look:\n\n```js\nlet a = 1;\n```");
}

export async function a_reload_keeps_the_conversation({ open, upstream, view }) {
  upstream.says("Kept *words*.");
  await open();
  await view.say("Hello");
  await view.state("idle");
  await view.page.reload();
  await view.lastAnswer("words");
  assert.equal(await view.asked.last().textContent(), "YouHello");
  assert.equal(upstream.received.length, 1);
}

export async function a_reload_goes_on_with_an_answer({ open, upstream, view }) {
  const held = upstream.holds("One ", "two ", "three.");
  await open();
  await view.say("Hello");
  held.release(2);
  await view.lastAnswer("two");
  await view.page.reload();
  await view.lastAnswer("One two");
  held.release();
  await view.lastAnswer("One two three.");
  await view.state("idle");
  assert.equal(await view.answers.count(), 1);
  assert.equal(upstream.received.length, 1);
}

export async function an_answer_that_is_no_longer_kept_is_marked({ open, view }) {
  const messages = [{ role: "user", text: "Hi" }, { role: "assistant", text: "Half", status: "writing", streamId: "0".repeat(32) }];
  const kept = JSON.stringify(JSON.stringify({ messages }));
  await open({ tag: "", ready: false, script: `sessionStorage.setItem("gatehouse-chat:x", ${kept}); document.body.insertAdjacentElement("beforeend", document.createElement("gatehouse-chat")).setAttribute("storage-key", "x");` });
  await view.lastAnswer("Half");
  await view.chat.getByText("The answer was cut off.").waitFor();
  await view.button("Answer again").waitFor();
}

export async function full_or_broken_storage_is_survived({ open, upstream, view }) {
  await open({ script: `sessionStorage.setItem("x", "y".repeat(5_100_000)); sessionStorage.setItem("gatehouse-chat:broken#", "{");` });
  await view.say("z".repeat(100_000));
  await view.lastAnswer("Hello.");
  await view.page.evaluate(() => document.querySelector("gatehouse-chat").setAttribute("storage-key", "broken#"));
  await view.chat.getByText("How can I help?").waitFor();
  upstream.says("Fine.");
  await view.say("Hello");
  await view.lastAnswer("Fine.");
}

export async function a_wait_is_counted_down_and_then_it_goes_on({ open, upstream, view }) {
  upstream.fails(429, "rate_limit_exceeded", { "Retry-After": "2" });
  upstream.says("Here I am.");
  await open();
  await view.say("Hello");
  await view.state("paused");
  assert.match(await view.notice.textContent(), /Continuing in [12] seconds?\./);
  await view.notice.getByText(/in 1 sec/).waitFor();
  await view.lastAnswer("Here I am.");
  assert.equal(await view.notice.isVisible(), false);
}

export async function a_long_wait_locks_the_button_until_it_is_over({ open, view }) {
  await open();
  await answerWith(view, 429, { code: "rate_limited", headers: { "Retry-After": "600" } });
  await view.say("Hello");
  await view.state("wait");
  assert.match(await view.notice.textContent(), /Try again in 10 minutes\./);
  assert.equal(await view.button("Try again").isDisabled(), true);
  await view.page.evaluate((now) => (Date.now = () => now), Date.now() + 600_000);
  await view.notice.getByText("The service is busy.").waitFor();
  await view.button("Try again").click();
  await view.lastAnswer("Hello.");
}

export async function a_used_up_allowance_tells_when_there_is_more({ open, view }) {
  await open();
  await answerWith(view, 429, { code: "budget_exceeded", headers: { "Retry-After": "40000" } });
  await view.say("Hello");
  await view.state("budget");
  assert.match(await view.notice.textContent(), /allowance is used up until .*\d:\d\d/);
  assert.equal(await view.button("Try again").count(), 0);
  await answerWith(view, 429, { code: "budget_exceeded", headers: { "Retry-After": "600" } });
  await view.say("Hello");
  await view.notice.getByText("allowance is used up until").waitFor();
  assert.equal(await view.button("Try again").isDisabled(), true);
}

export async function what_is_wrong_is_said_in_the_visitors_words({ open, view }) {
  await open();
  for (const [status, code, kind, words, again] of [
    [401, "unauthenticated", "signedOut", /not signed in/, true],
    [403, "forbidden", "forbidden", /not allowed/, false],
    [422, "content_filter", "filtered", /content filter/, false],
    [400, "context_length_exceeded", "tooLong", /too long/, false],
    [413, "body_too_large", "tooLarge", /too large/, false],
    [400, "invalid_request", "invalid", /cannot be sent\. A sentence/, false],
    [502, "upstream_failed", "failed", /went wrong/, true],
    [503, "circuit_open", "busy", /busy/, true],
  ]) {
    await answerWith(view, status, { code });
    await view.say("Hello");
    await view.state(kind);
    assert.match(await view.notice.textContent(), words);
    assert.equal(await view.button("Try again").count(), again ? 1 : 0, code);
    await view.button("Dismiss").click();
    await view.notice.waitFor({ state: "hidden" });
    await view.button("New conversation").click();
  }
}

export async function what_a_filter_refused_is_not_sent_again({ open, upstream, view }) {
  upstream.ends("content_filter", "Half an");
  await open();
  await view.say("Something bad");
  await view.state("filtered");
  await view.say("Something good");
  await view.lastAnswer("Hello.");
  assert.deepEqual(upstream.received[1].messages.filter(({ role }) => role === "user"), [{ role: "user", content: "Something good" }]);
}

export async function what_was_refused_for_itself_does_not_stop_what_follows({ open, upstream, view }) {
  await open();
  for (const [status, code, kind] of [[400, "context_length_exceeded", "tooLong"], [413, "body_too_large", "tooLarge"], [400, "invalid_request", "invalid"]]) {
    await answerWith(view, status, { code });
    await view.say(`Refused as ${kind}`);
    await view.state(kind);
  }
  await view.say("Something short");
  await view.lastAnswer("Hello.");
  assert.deepEqual(upstream.received.at(-1).messages, [{ role: "user", content: "Something short" }]);
}

export async function a_lost_network_is_told_and_waited_for({ open, upstream, view }) {
  await open();
  await view.page.context().setOffline(true);
  await view.say("Hello");
  await view.state("paused");
  assert.match(await view.notice.textContent(), /You are offline/);
  await view.page.context().setOffline(false);
  await view.lastAnswer("Hello.");
  assert.equal(upstream.received.length, 1);
}

export async function an_answer_survives_a_lost_connection({ open, pages, upstream, view, server }) {
  const held = upstream.holds("One ", "two ", "three.");
  const proxy = await startProxy(server);
  pages.proxy = proxy.url;
  await open({ tag: `<gatehouse-chat url="${proxy.url}"></gatehouse-chat>` });
  await view.say("Hello");
  held.release(1);
  await view.lastAnswer("One");
  proxy.breakAll();
  held.release();
  await view.lastAnswer("One two three.");
  await view.state("idle");
  assert.equal(await view.notice.isVisible(), false);
  assert.equal(upstream.received.length, 1);
  proxy.close();
}

export async function an_answer_cut_at_its_length_says_so({ open, upstream, view }) {
  upstream.ends("length", "So much");
  await open();
  await view.say("Hello");
  await view.chat.getByText("maximum length").waitFor();
}

export async function tools_of_the_server_are_shown_while_they_run({ open, view }) {
  await open();
  const events = [{ tool: { id: "1", name: "order_status", status: "running" } }, { tool: { id: "1", name: "order_status", status: "done", ms: 3 } }, { tool: { id: "2", name: "stock", status: "failed" } }, { token: "On its way." }, { done: true, finishReason: "stop" }];
  await answerWith(view, 200, { body: events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""), headers: { "Content-Type": "text/event-stream" } });
  await view.say("Where is it?");
  const answer = await view.lastAnswer("On its way.");
  assert.deepEqual(await answer.locator("[part=tool]").allTextContents(), ["Looking up: order_status", "Failed: stock"]);
}

export async function calls_of_the_pages_own_tools_are_shown_and_told({ open, view }) {
  await open({ script: `addEventListener("gatehouse-message", ({ detail }) => (globalThis.told = detail.toolCalls));` });
  const calls = [{ id: "c1", type: "function", function: { name: "find_shop", arguments: "{}" } }];
  await answerWith(view, 200, { body: `data: ${JSON.stringify({ done: true, finishReason: "tool_calls", toolCalls: calls })}\n\n`, headers: { "Content-Type": "text/event-stream" } });
  await view.say("Where is your shop?");
  await view.lastAnswer("Looking up: find_shop");
  assert.deepEqual(await view.page.evaluate(() => told), calls);
}

export async function what_is_left_of_the_allowance_is_shown({ open, view }) {
  await open();
  await view.say("Hello");
  await view.state("idle");
  assert.match(await view.chat.locator("[part=allowance]").textContent(), /^\d+ of 500 requests left$/);
}

export async function what_is_left_of_a_budget_is_shown({ open, pages, upstream, view, visitorToken }) {
  pages.token = { token: visitorToken };
  await open({ tag: '<gatehouse-chat token-url="/token" allowance="budget"></gatehouse-chat>' });
  const allowance = view.chat.locator("[part=allowance]");
  await allowance.getByText("$5.00 of your allowance left").waitFor();
  upstream.says("word ".repeat(9_000));
  await view.say("Hello");
  await allowance.getByText(/\$4\.\d\d of your allowance left/).waitFor();
}

export async function a_page_drives_it_and_hears_of_it({ open, upstream, view }) {
  await open({ tag: '<gatehouse-chat model="gpt-6.1-terra"></gatehouse-chat>', script: `
    globalThis.heard = [];
    for (const name of ["message", "error"]) addEventListener("gatehouse-" + name, ({ detail }) => heard.push([name, detail?.role ?? detail?.code ?? null]));
    document.querySelector("gatehouse-chat").fields = { maxTokens: 77 };` });
  upstream.fails(500, "server_error");
  const texts = await view.page.evaluate(async () => {
    const chat = document.querySelector("gatehouse-chat");
    await chat.send("Hello");
    await chat.retry();
    return chat.messages.map(({ text }) => text);
  });
  assert.deepEqual(texts, ["Hello", "Hello."]);
  assert.deepEqual(await view.page.evaluate(() => heard), [["message", "user"], ["error", "upstream_failed"], ["message", "assistant"]]);
  assert.equal(upstream.received[1].max_completion_tokens, 77);
  assert.equal(upstream.received[1].model, "gpt-6.1-terra");
}

export async function its_token_comes_from_the_page({ open, pages, upstream, view, visitorToken }) {
  pages.token = { token: visitorToken };
  await open({ tag: '<gatehouse-chat token-url="/token"></gatehouse-chat>' });
  await view.say("Hello");
  await view.lastAnswer("Hello.");
  await view.say("Again");
  await view.state("idle");
  assert.equal(pages.asked.length, 1);
  pages.token = null;
  await view.page.reload();
  await view.say("Hello");
  await view.state("signedOut");
  assert.equal(upstream.received.length, 2);
}

export async function a_wrong_address_is_an_error_and_no_hang({ open, view }) {
  await open({ tag: '<gatehouse-chat url="http://"></gatehouse-chat>' });
  await view.say("Hello");
  await view.state("failed");
  assert.equal(await view.answers.count(), 0);
}

export async function a_page_keeps_several_conversations({ open, upstream, view }) {
  const held = upstream.holds("One ", "two.");
  const show = (key) => view.page.evaluate((key) => document.querySelector("gatehouse-chat").setAttribute("storage-key", key), key);
  await open({ tag: '<gatehouse-chat storage-key="one"></gatehouse-chat>' });
  await view.say("First");
  held.release(1);
  await view.lastAnswer("One");
  await show("two");
  await view.chat.getByText("How can I help?").waitFor();
  await view.say("Second");
  await view.lastAnswer("Hello.");
  held.release();
  await show("one");
  await view.lastAnswer("One two.");
  assert.equal(await view.asked.last().textContent(), "YouFirst");
  await show("two");
  await view.lastAnswer("Hello.");
  assert.equal(upstream.received.length, 2);
}

export async function what_a_later_script_sets_is_used_from_the_first_request({ open, upstream, view }) {
  const held = upstream.holds("One ", "two.");
  const script = `const chat = document.querySelector("gatehouse-chat");
    globalThis.fetched = [];
    chat.fetch = (url, options) => (fetched.push(options.method), fetch(url, options));
    chat.token = () => { fetched.push("token"); return null; };`;
  await open({ script });
  await view.page.waitForFunction(() => globalThis.fetched);
  await view.say("Hello");
  held.release(1);
  await view.lastAnswer("One");
  await view.page.reload();
  held.release();
  await view.lastAnswer("One two.");
  assert.deepEqual(await view.page.evaluate(() => fetched), ["token", "GET"]);
}

/** Answers the element's next request in place of the server. */
export async function answerWith(view, status, { code, body, headers = {} }) {
  const answer = { status, body: body ?? JSON.stringify({ error: "A sentence.", code, requestId: "abc" }), headers: { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*", ...headers } };
  await view.page.route("**/api/chat/stream", (route) => route.fulfill(answer), { times: 1 });
}
