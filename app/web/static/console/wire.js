// The wire pane: shows the request as code, and the response as it arrives.

import { byId, formatCount, formatSeconds, h, showPairs } from "./dom.js";
import { readSimulated } from "./settings.js";
import { LANGUAGES, writeSnippet } from "./snippets.js";

const MAX_EVENTS = 500;
const MAX_SHOWN_CHARS = 2_000;
const COST_TRIES = 8;
const FIRST = new Set(["token", "partial", "reasoning"]);

const [events, status, facts, code, copy] = ["events", "status", "facts", "code", "copy"].map(byId);
let shown = null; // the request whose response is shown
let draft = null; // the request that is shown as code
let language = LANGUAGES[0];

/** Call fetch(), and show the request and the response. */
export async function wireFetch(url, init = {}) {
  const headers = new Headers(init.headers);
  if (readSimulated()) headers.set("X-Simulate", readSimulated());
  const call = { path: new URL(url, location.href).pathname, method: init.method ?? "GET", started: performance.now(), count: 0 };
  if (typeof init.body === "string") showCall({ path: call.path, body: JSON.parse(init.body) });
  begin(call);
  try {
    const response = await fetch(url, { ...init, headers });
    showHead(call, response);
    if (!response.body) return response;
    return new Response(response.body.pipeThrough(watch(call, response)), response);
  } catch (error) {
    showState(call, init.signal?.aborted ? "stopped" : "no connection", init.signal?.aborted ? "warn" : "danger");
    throw error;
  }
}

/** Show a request as code, before or when it is sent. */
export function showCall(call) {
  draft = call;
  byId("wire-empty").hidden = true;
  byId("call").hidden = false;
  code.textContent = writeSnippet(language, draft);
}

function begin(call) {
  shown = call;
  byId("answer").hidden = false;
  events.replaceChildren();
  byId("headers").replaceChildren();
  facts.replaceChildren();
  showState(call, "waiting", "");
}

function showHead(call, response) {
  if (call !== shown) return;
  call.status = response.status;
  call.requestId = response.headers.get("X-Request-ID");
  showState(call, `${response.status} ${response.statusText}`.trim(), response.ok ? "ok" : "danger");
  showPairs(byId("headers"), [...response.headers]);
  showFacts(call, { headers: performance.now() - call.started });
}

/** Return a stream that shows a response's body and passes it on unchanged, so that the page can still read and cancel it. */
function watch(call, response) {
  const decoder = new TextDecoder();
  const isStream = response.headers.get("Content-Type")?.includes("event-stream");
  let rest = "";
  const take = (text) => {
    rest += text;
    if (!isStream) return;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    blocks.forEach((block) => showEvent(call, block));
  };
  return new TransformStream({
    transform(chunk, controller) {
      take(decoder.decode(chunk, { stream: true }));
      controller.enqueue(chunk);
    },
    flush() {
      if (isStream && rest.trim()) showEvent(call, rest);
      if (!isStream) showBody(call, rest);
      finish(call);
    },
  });
}

function showEvent(call, block) {
  const data = block.split("\n").flatMap((line) => (line.startsWith("data:") ? [line.slice(5).trim()] : []));
  const text = data.length ? data.join("\n") : block;
  const value = data.length ? parse(text) : null;
  if (value && !call.firstToken && Object.keys(value).some((name) => FIRST.has(name))) {
    call.firstToken = performance.now() - call.started;
    showFacts(call, {});
  }
  if (value?.usage) call.usage = value.usage;
  if (value?.error) {
    call.hasFailed = true;
    showState(call, value.code ?? "error", "danger");
  }
  addLine(call, text, true);
  if (value?.done || value?.error) finish(call); // the reader may stop here
}

function showBody(call, text) {
  const value = parse(text);
  if (value?.usage) call.usage = value.usage;
  addLine(call, value ? JSON.stringify(value, null, 2) : text);
}

function addLine(call, text, follows = false) {
  if (call !== shown || (call.count += 1) > MAX_EVENTS) return;
  const isAtEnd = events.scrollTop + events.clientHeight >= events.scrollHeight - 8;
  const at = h("span", { className: "at" }, formatSeconds(performance.now() - call.started));
  const cut = text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)} …` : text;
  events.append(h("li", {}, at, h("span", { className: "plain" }, cut)));
  if (call.count === MAX_EVENTS) events.append(h("li", {}, "", "More events are not shown."));
  if (follows && isAtEnd) events.scrollTop = events.scrollHeight;
}

function finish(call) {
  if (call.total) return;
  showFacts(call, { total: performance.now() - call.started });
  if (call.hasFailed || call.status >= 500) void showFault();
  if (call.requestId && call.status < 400 && call.path.startsWith("/api/")) void askCost(call);
}

/** Show the cost, which the ledger has shortly after the answer. */
async function askCost(call) {
  for (let tries = 0; tries < COST_TRIES && call === shown; tries += 1) {
    const response = await fetch(`/console/calls/${encodeURIComponent(call.requestId)}`);
    const { isSettled, costMicroUsd: cost, isEstimated } = response.ok ? await response.json() : {};
    if (isSettled) {
      const text = cost === null ? "price unknown" : `$${(cost / 1e6).toFixed(6)}${isEstimated ? " (estimated)" : ""}`;
      return showFacts(call, { cost: text });
    }
    await new Promise((resolve) => setTimeout(resolve, 300 * (tries + 1)));
  }
}

/** Show a problem that only the site's owner can fix, such as a refused key, at the top of the page. */
async function showFault() {
  const response = await fetch("/console/fault");
  const { fault } = response.ok ? await response.json() : {};
  byId("fault").textContent = fault ?? "";
  byId("fault").hidden = !fault;
}

function showFacts(call, more) {
  Object.assign(call, more);
  if (call !== shown) return;
  const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = call.usage ?? {};
  const tokens = output === undefined ? total && formatCount(total) : `${formatCount(input)} in, ${formatCount(output)} out`;
  const pairs = [
    ["Headers after", call.headers && formatSeconds(call.headers)],
    ["First token after", call.firstToken && formatSeconds(call.firstToken)],
    ["Complete after", call.total && formatSeconds(call.total)],
    ["Tokens", tokens],
    ["Cost", call.cost],
  ];
  showPairs(facts, pairs.filter(([, value]) => value));
}

function showState(call, text, kind) {
  if (call !== shown) return;
  status.replaceChildren(h("span", { className: `badge ${kind}` }, text), h("code", {}, `${call.method} ${call.path}`));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function choose(tab) {
  language = tab.textContent;
  for (const other of tab.parentElement.children) {
    other.ariaSelected = String(other === tab);
    other.tabIndex = other === tab ? 0 : -1;
  }
  byId("snippet").setAttribute("aria-labelledby", tab.id);
  if (draft) code.textContent = writeSnippet(language, draft);
}

const tabs = LANGUAGES.map((name) => {
  const properties = { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "snippet" };
  return h("button", { ...properties, onclick: ({ currentTarget }) => choose(currentTarget) }, name);
});
byId("languages").append(...tabs);
byId("languages").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs.at((tabs.indexOf(document.activeElement) + step) % tabs.length);
  choose(next);
  next.focus();
});
choose(tabs[0]);

copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(writeSnippet(language, draft, { isWhole: true })).catch(() => {});
  copy.textContent = "Copied";
  setTimeout(() => (copy.textContent = "Copy code"), 2000);
});
