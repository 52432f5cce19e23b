// For everybody: keyboard, screen reader, languages, themes, phones, and no scripts at all.
import assert from "node:assert/strict";
import { answerWith } from "./talk.mjs";

export async function everything_works_by_keyboard({ open, upstream, view }) {
  const held = upstream.holds("Begun ", "done.");
  await open({ tag: '<gatehouse-chat mode="floating"></gatehouse-chat>' });
  const { keyboard } = view.page;
  const focused = () => view.page.evaluate(() => {
    const { activeElement } = document.querySelector("gatehouse-chat").shadowRoot;
    return activeElement?.getAttribute("aria-label") ?? activeElement?.getAttribute("part") ?? null;
  });
  await keyboard.press("Tab");
  assert.equal(await focused(), "Open chat");
  await keyboard.press("Enter");
  assert.equal(await focused(), "Write a message");
  await keyboard.type("One");
  await keyboard.press("Shift+Enter");
  await keyboard.type("two");
  await keyboard.press("Enter");
  held.release(1);
  await view.lastAnswer("Begun");
  assert.equal(upstream.received[0].messages[0].content, "One\ntwo");
  await keyboard.press("Escape");
  await view.state("idle");
  assert.equal(await focused(), "Write a message");
  const stops = [];
  for (let at = 0; at < 6; at += 1) {
    await keyboard.press("Shift+Tab");
    stops.unshift(await focused());
  }
  assert.deepEqual(stops, ["New conversation", "Close chat", "Conversation", "Copy", "Answer again", "Add images or PDF files"]);
  await view.button("Answer again").press("Enter");
  assert.equal(await focused(), "Conversation");
  await view.lastAnswer("Hello.");
  await keyboard.press("Escape");
  assert.equal(await focused(), "Open chat");
  assert.equal(await view.chat.locator("[part=panel]").isVisible(), false);
}

export async function a_word_that_is_being_composed_is_not_sent({ open, upstream, view }) {
  await open();
  await view.input.fill("こんに");
  await view.input.evaluate((input) => {
    const press = (options) => input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...options }));
    press({ isComposing: true });
    press({ keyCode: 229 });
  });
  assert.equal(await view.input.inputValue(), "こんに");
  assert.equal(upstream.received.length, 0);
}

export async function a_screen_reader_hears_whole_sentences({ open, upstream, view }) {
  const held = upstream.holds("The fir", "st **sentence", "**. The se", "cond", " one");
  await open({ script: `
    globalThis.told = [];
    customElements.whenDefined("gatehouse-chat").then(() => new MutationObserver((changes) => told.push(...changes.flatMap(({ addedNodes }) => [...addedNodes].map(({ textContent }) => textContent))))
      .observe(document.querySelector("gatehouse-chat").shadowRoot.querySelector("[role=status]"), { childList: true }));` });
  await view.say("Hello");
  for (const words of ["The fir", "st sentence", "The se", "cond"]) {
    held.release(1);
    await view.lastAnswer(words);
  }
  held.release();
  await view.state("idle");
  assert.deepEqual(await view.page.evaluate(() => told), ["The first sentence .", "The second one"]);
  assert.equal(await view.chat.getByRole("log").getAttribute("aria-live"), "off");
}

export async function axe_finds_no_fault_in_any_state_and_theme({ open, upstream, view, harness }) {
  for (const colorScheme of ["light", "dark"]) {
    await open({ tag: '<gatehouse-chat theme="auto"></gatehouse-chat>', context: { colorScheme } });
    const check = async (state) => assert.deepEqual([state, ...(await view.faults())], [state]);
    await check("empty");
    const held = upstream.holds("# Title\n\n- [x] *a* [link](https://a.test/)\n\n> b `c`\n\n```js\nlet x;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "end");
    await view.chat.locator("input[type=file]").setInputFiles({ name: "a.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF") });
    await view.chat.locator(".composer .file").waitFor();
    await check("with a file");
    await view.button("Remove a.pdf").click();
    await view.say("Hello");
    await check("waiting");
    held.release(1);
    await view.lastAnswer("Title");
    await check("streaming");
    held.release();
    await view.state("idle");
    await check("answered");
    for (const [status, code, kind, headers] of [[401, "unauthenticated", "signedOut"], [429, "rate_limited", "wait", { "Retry-After": "500" }], [422, "content_filter", "filtered"], [429, "budget_exceeded", "budget"]]) {
      await answerWith(view, status, { code, headers });
      await view.say("Hello");
      await view.state(kind);
      await check(kind);
    }
    await harness.leave();
  }
}

export async function axe_finds_no_fault_when_it_floats({ open, view }) {
  await open({ tag: '<gatehouse-chat mode="floating"></gatehouse-chat>' });
  assert.deepEqual(await view.faults(), []);
  await view.button("Open chat").click();
  assert.deepEqual(await view.faults(), []);
}

export async function it_floats_above_the_page_and_fills_a_phone({ open, view }) {
  await open({ tag: '<div class="boxed"><gatehouse-chat mode="floating"></gatehouse-chat></div>', context: { viewport: { width: 390, height: 700 } } });
  await view.button("Open chat").click();
  const box = await view.chat.locator("[part=panel]").boundingBox();
  assert.deepEqual(box, { x: 0, y: 0, width: 390, height: 700 });
  await view.button("Close chat").click();
  const launcher = await view.button("Open chat").boundingBox();
  assert.ok(launcher.x > 300 && launcher.y > 600, JSON.stringify(launcher));
  assert.equal(await view.page.evaluate(() => document.documentElement.scrollWidth), 390);
}

export async function nothing_is_wider_than_a_phone({ open, upstream, view }) {
  upstream.says(`${"wide".repeat(80)}\n\n\`\`\`\n${"code ".repeat(80)}\n\`\`\`\n\n|${" cell |".repeat(30)}\n|${"---|".repeat(30)}\n\nEnd.`);
  await open({ context: { viewport: { width: 320, height: 700 } } });
  await view.say("word".repeat(100));
  await view.lastAnswer("End.");
  const { page, log } = await view.page.evaluate(() => {
    const log = document.querySelector("gatehouse-chat").shadowRoot.querySelector(".log");
    return { page: document.documentElement.scrollWidth, log: log.scrollWidth - log.clientWidth };
  });
  assert.deepEqual({ page, log }, { page: 320, log: 0 });
}

export async function it_speaks_the_pages_language({ open, view }) {
  await open({ html: 'lang="de-AT"', tag: "<gatehouse-chat></gatehouse-chat>" });
  const set = (name, value) => view.page.evaluate(([name, value]) => document.querySelector("gatehouse-chat").setAttribute(name, value), [name, value]);
  await view.chat.getByText("Sie sprechen mit einer KI.").waitFor();
  for (const [language, words] of [["fr", "Vous parlez à une IA."], ["es", "Está hablando con una IA."], ["zh-CN", "您正在与人工智能对话"], ["tlh", "Sie sprechen"], ["en", "You are talking to an AI."]]) {
    if (language !== "tlh") await set("lang", language);
    if (language !== "tlh") await view.chat.getByText(words).waitFor();
  }
  await set("heading", "Support");
  await set("text-send", "Off it goes");
  await view.button("Off it goes").waitFor();
  await view.chat.getByText("Support").waitFor();
}

export async function a_wait_is_told_in_each_language_as_one_writes_it({ open, view }) {
  await open();
  for (const [language, words] of [["de", "Sekunden weiter."], ["fr", "secondes."], ["es", "segundos."], ["zh", "秒钟后继续。"], ["en", "seconds."]]) {
    await view.page.evaluate((language) => document.querySelector("gatehouse-chat").setAttribute("lang", language), language);
    await answerWith(view, 429, { code: "rate_limited", headers: { "Retry-After": "100" } });
    await view.say("Hello");
    await view.state("paused");
    await view.notice.getByText(words).waitFor();
    assert.ok((await view.notice.textContent()).endsWith(words));
    await view.chat.locator("[part~=send]").click();
    await view.state("idle");
  }
}

export async function what_a_page_sets_before_the_script_is_there_stays({ open, upstream, view }) {
  await open({ tag: "", ready: false, script: `
    const place = document.implementation.createHTMLDocument().body; // where the tag is not yet known
    const chat = place.appendChild(place.ownerDocument.createElement("gatehouse-chat"));
    Object.assign(chat, { texts: { send: "Off it goes" }, fields: { maxTokens: 77 }, token: () => null });
    document.body.append(chat);` });
  await view.button("Off it goes").waitFor();
  await view.say("Hello");
  await view.lastAnswer("Hello.");
  assert.equal(upstream.received[0].max_completion_tokens, 77);
  await view.page.evaluate(() => (document.querySelector("gatehouse-chat").texts = { send: "Go" }));
  await view.button("Go").waitFor();
}

export async function a_floating_chat_is_opened_by_its_attribute({ open, view }) {
  await open({ tag: '<gatehouse-chat mode="floating" open></gatehouse-chat>' });
  const panel = view.chat.locator("[part=panel]");
  await panel.waitFor();
  await view.page.evaluate(() => document.querySelector("gatehouse-chat").removeAttribute("open"));
  await panel.waitFor({ state: "hidden" });
  await view.page.evaluate(() => document.querySelector("gatehouse-chat").open());
  await panel.waitFor();
  assert.equal(await view.chat.getAttribute("open"), "");
}

export async function its_texts_come_from_slots_too({ open, view }) {
  await open({ tag: `<gatehouse-chat><b slot="heading">Our help</b><span slot="greeting">Ask us</span><a slot="disclosure" href="/ai">An AI answers</a></gatehouse-chat>` });
  for (const words of ["Our help", "Ask us", "An AI answers"]) await view.page.getByText(words).waitFor();
}

export async function every_language_has_every_text({ open, view, server }) {
  await open();
  const differences = await view.page.evaluate(async (base) => {
    const load = async (language) => (await import(`${base}/static/chat/texts/${language}.js`)).words;
    const shape = (words) => Object.entries(words).map(([name, text]) => [name, ...(text.match(/\{\w+\}/g) ?? []).sort()].join(" ")).join("\n");
    const english = shape(await load("en"));
    const others = await Promise.all(["de", "fr", "es", "zh"].map(async (language) => [language, shape(await load(language))]));
    return others.filter(([, each]) => each !== english);
  }, server);
  assert.deepEqual(differences, []);
}

export async function the_disclosure_is_there_unless_it_is_turned_off({ open, view }) {
  await open();
  assert.equal(await view.chat.getByText("You are talking to an AI").isVisible(), true);
  await view.page.evaluate(() => document.querySelector("gatehouse-chat").setAttribute("disclosure", "none"));
  await view.chat.getByText("You are talking to an AI").waitFor({ state: "detached" });
}

export async function it_is_mirrored_on_a_page_from_right_to_left({ open, upstream, view }) {
  upstream.says("Hello.\n\n| an | English |\n|---|---|\n| table | here |\n");
  await open({ html: 'lang="ar" dir="rtl"' });
  await view.say("مرحبا");
  await view.lastAnswer("Hello.");
  const places = await view.page.evaluate(() => {
    const root = document.querySelector("gatehouse-chat").shadowRoot;
    const left = (selector) => root.querySelector(selector).getBoundingClientRect().left;
    return { user: left(".user .text"), log: left(".log"), send: left("[part~=send]"), input: left("textarea"), table: left(".table") };
  });
  assert.ok(places.user - places.log < 40 && places.send < places.input && places.table - places.log < 40, JSON.stringify(places));
  const ends = await view.page.evaluate(() => {
    const [words] = document.querySelector("gatehouse-chat").shadowRoot.querySelector(".disclosure bdi").childNodes;
    const range = document.createRange();
    return [0, words.length - 1].map((at) => {
      range.setStart(words, at);
      range.setEnd(words, at + 1);
      return range.getBoundingClientRect().right;
    });
  });
  assert.ok(ends[0] < ends[1], "the full stop of an English sentence is at its end");
}

export async function the_page_chooses_its_colours({ open, view }) {
  const look = () => view.page.evaluate(() => {
    const root = document.querySelector("gatehouse-chat").shadowRoot;
    const of = (selector, name) => getComputedStyle(root.querySelector(selector))[name];
    return [of(".panel", "backgroundColor"), of("[part~=send]", "backgroundColor"), of("h2", "color")];
  });
  const set = (name, value) => view.page.evaluate(([name, value]) => document.querySelector("gatehouse-chat").setAttribute(name, value), [name, value]);
  await open({ context: { colorScheme: "dark" } });
  const LIGHT = "rgb(255, 255, 255)";
  assert.equal((await look())[0], LIGHT); // the page itself is light only
  await set("theme", "auto");
  assert.notEqual((await look())[0], LIGHT);
  await set("theme", "light");
  assert.equal((await look())[0], LIGHT);
  await view.page.evaluate(() => {
    document.documentElement.style.setProperty("--gh-accent", "rgb(1, 2, 3)");
    document.adoptedStyleSheets = [new CSSStyleSheet()];
    document.adoptedStyleSheets[0].replaceSync("gatehouse-chat::part(heading) { color: rgb(4, 5, 6) }");
  });
  assert.deepEqual(await look(), [LIGHT, "rgb(1, 2, 3)", "rgb(4, 5, 6)"]);
}

export async function nothing_moves_for_those_who_want_it_still({ open, upstream, view }) {
  const held = upstream.holds("x");
  await open({ context: { reducedMotion: "reduce" } });
  await view.say("Hello");
  await view.chat.locator("[part=typing]").waitFor();
  assert.equal(await view.page.evaluate(() => document.querySelector("gatehouse-chat").shadowRoot.getAnimations().length), 0);
  held.release();
}

export async function the_form_in_it_is_there_without_scripts_only({ open, view, harness }) {
  const tag = '<gatehouse-chat><form action="/ask"><input name="q"><button>Ask</button></form></gatehouse-chat>';
  await open({ tag });
  assert.equal(await view.page.getByText("Ask", { exact: true }).isVisible(), false);
  await harness.leave();
  await open({ tag, ready: false, context: { javaScriptEnabled: false } });
  assert.equal(await view.page.getByText("Ask", { exact: true }).isVisible(), true);
}

export async function reading_above_is_not_disturbed_by_what_comes_below({ open, upstream, view }) {
  const held = upstream.holds("line\n\n".repeat(60), "more\n\n".repeat(20));
  await open();
  await view.say("Hello");
  held.release(1);
  const log = view.chat.getByRole("log");
  await view.lastAnswer("line");
  await log.evaluate((element) => (element.scrollTop = 50));
  await view.button("Jump to the latest message").waitFor();
  held.release();
  await view.state("idle");
  assert.equal(await log.evaluate(({ scrollTop }) => scrollTop), 50);
  await view.button("Jump to the latest message").click();
  await view.button("Jump to the latest message").waitFor({ state: "hidden" });
}
