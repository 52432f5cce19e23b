// The structured panel: shows the growing value, and marks the part of the schema that is refused.

import { byId, formatCount } from "./dom.js";
import { locate } from "./locate.js";
import { Panel } from "./panel.js";
import { readSettings } from "./settings.js";

const element = byId("structured");
const [prompt, schema, named, normalize, fault] = ["prompt", "schema", "name", "normalize", "fault"].map((name) => byId(`structured-${name}`));
const output = element.querySelector(".output");
const value = output.querySelector("code");
const facts = output.querySelector(".facts");

export function startStructured(gatehouse, example) {
  schema.value = JSON.stringify(example, null, 2);
  schema.addEventListener("input", checkJson);
  named?.addEventListener("change", () => (schema.disabled = named.value !== ""));
  const fields = () => ({
    ...readSettings("structured"),
    ...(named?.value ? { schemaName: named.value } : { schema: JSON.parse(schema.value) }),
    ...(normalize.checked && !named?.value && { normalize: true }),
  });
  const panel = new Panel(
    element,
    async (signal) => {
      clearFault();
      facts.textContent = "";
      try {
        if (!checkJson()) return;
        value.textContent = "";
        output.hidden = false;
        for await (const event of gatehouse.streamStructured(prompt.value, { ...fields(), signal })) {
          if (event.type === "partial") show(event.partial);
          else if (event.type === "retrying" || event.type === "offline") panel.retrying(event);
          else if (event.type === "done") showEnd(event);
        }
      } catch (error) {
        if (!value.textContent) output.hidden = true;
        if (signal.aborted || !markFault(error)) throw error;
      }
    },
    () => ({ path: "/api/structured/stream", body: { messages: [{ role: "user", content: prompt.value }], ...fields() } }),
  );
  return panel;
}

function show(data) {
  value.textContent = JSON.stringify(data, null, 2);
}

function showEnd({ data, usage, normalized }) {
  show(data);
  const changes = normalized?.length ? `Normalized: ${normalized.join("; ")}.` : "";
  facts.textContent = [usage && `${formatCount(usage.total_tokens)} tokens.`, changes].filter(Boolean).join(" ");
}

function checkJson() {
  clearFault();
  if (schema.disabled) return true;
  try {
    JSON.parse(schema.value);
    return true;
  } catch (error) {
    setFault(error.message);
    return false;
  }
}

/** Select the path that the server names, such as schema.properties.age. Return whether it names one. */
function markFault({ field, message }) {
  const path = /schema((?:[.[/#][^:\s]*)?)/.exec(field ?? message)?.[1];
  if (path === undefined || schema.disabled) return false;
  const range = locate(schema.value, path.split(/[.[\]/#]+/).filter(Boolean));
  const line = schema.value.slice(0, range[0]).split("\n").length;
  setFault(`Line ${line}: ${message}`);
  schema.focus();
  schema.setSelectionRange(...range);
  schema.scrollTop = (line - 4) * 20;
  return true;
}

function setFault(text) {
  schema.setAttribute("aria-invalid", "true");
  fault.textContent = text;
  fault.hidden = false;
}

function clearFault() {
  schema.removeAttribute("aria-invalid");
  fault.hidden = true;
}
