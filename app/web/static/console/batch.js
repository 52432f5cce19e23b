// The batch panel: sends many chats as one batch, at half the price, answered within a day.

import { byId, h } from "./dom.js";
import { Panel } from "./panel.js";
import { readSettings } from "./settings.js";
import { wireFetch } from "./wire.js";

const element = byId("batch");
const [key, lines] = ["batch-key", "batch-lines"].map(byId);
const output = element.querySelector(".output");
const results = output.querySelector(".results");

export function startBatch() {
  const listRequests = () =>
    lines.value
      .split("\n")
      .filter((line) => line.trim())
      .map((message, index) => ({ id: String(index + 1), chat: { message, ...readSettings("batch") } }));
  const panel = new Panel(
    element,
    async () => {
      await call("/api/batches", { method: "POST", body: JSON.stringify({ requests: listRequests() }) });
      await list();
    },
    () => ({ path: "/api/batches", body: { requests: listRequests() } }),
  );
  element.querySelector(".list").addEventListener("click", () => {
    panel.hide();
    if (key.reportValidity()) void list().catch((error) => panel.fail(error));
  });
  return panel;

  async function list() {
    const { batches } = await call("/api/batches");
    output.hidden = false;
    output.querySelector("tbody").replaceChildren(...batches.map(draw));
  }

  function draw({ id, status, counts }) {
    const isDone = status === "completed";
    const button = h("button", { type: "button", className: "small" }, isDone ? "Results" : "Refresh");
    const number = (value) => h("td", { className: "number" }, `${value}`);
    const row = h("tr", {}, h("td", { className: "mono" }, id), h("td", {}, status), number(`${counts.completed} of ${counts.total}`), number(counts.failed), h("td", {}, button));
    // A single batch is read from the upstream; the list has the states stored on this server.
    const refresh = async () => row.replaceWith(draw(await call(`/api/batches/${id}`)));
    button.addEventListener("click", () => void (isDone ? showResults(id) : refresh()).catch((error) => panel.fail(error)));
    return row;
  }
}

async function showResults(id) {
  const answer = await call(`/api/batches/${id}/results`);
  results.hidden = false;
  results.firstElementChild.textContent = typeof answer === "string" ? answer : JSON.stringify(answer, null, 2);
}

async function call(path, init = {}) {
  const headers = { Authorization: `Bearer ${key.value.trim()}`, ...(init.body && { "Content-Type": "application/json" }) };
  const response = await wireFetch(path, { ...init, headers });
  const text = await response.text();
  const isJson = response.headers.get("Content-Type")?.includes("application/json");
  const answer = isJson ? JSON.parse(text) : text;
  if (!response.ok) throw Object.assign(new Error(answer.error ?? text), { retryAfter: Number(response.headers.get("Retry-After")) });
  return answer;
}
