// The settings: their fields belong to the form that works without JavaScript. Here they become JSON fields.

import { byId } from "./dom.js";

const NEVER = new Set(["", "message", "history", "once", "formToken"]);
const form = byId("ask");
const simulate = byId("simulate");
const promptName = byId("set-promptName");

/** The settings that a kind of request accepts. Others are left out. */
const TAKEN = {
  embeddings: [],
  batch: ["model", "temperature", "maxTokens", "reasoningEffort", "verbosity", "systemPrompt", "promptName", "variables", "topP", "seed"],
};
const NOT_TAKEN = { image: ["systemPrompt", "serverTools"], structured: ["serverTools"] };

/** Return the fields that have a value, with the names of /api/chat. */
export function readSettings(kind = "chat") {
  const fields = {};
  const variables = {};
  for (const element of form.elements) {
    const isLeftOut = NEVER.has(element.name ?? "") || element.matches(":disabled") || element.value === "";
    if (isLeftOut || (element.type === "checkbox" && !element.checked)) continue;
    const value = convert(element);
    if (element.type === "checkbox") fields[element.name] = [...(fields[element.name] ?? []), value];
    else if (element.name.startsWith("variables.")) variables[element.name.slice("variables.".length)] = value;
    else fields[element.name] = value;
  }
  if (Object.keys(variables).length) fields.variables = variables;
  const isTaken = (name) => (TAKEN[kind]?.includes(name) ?? true) && !NOT_TAKEN[kind]?.includes(name);
  return Object.fromEntries(Object.entries(fields).filter(([name]) => isTaken(name)));
}

export const readSimulated = () => simulate?.value ?? "";

/** Call a function when a setting changes. */
export function onSettingsChange(callback) {
  byId("drawer").addEventListener("input", callback);
}

function convert(element) {
  const type = element.dataset.type ?? element.type;
  if (["number", "integer"].includes(type)) return Number(element.value);
  return type === "boolean" ? element.value === "true" : element.value;
}

function showVariables() {
  for (const set of document.querySelectorAll(".variables")) {
    set.hidden = set.disabled = set.dataset.prompt !== promptName.value;
  }
}

promptName?.addEventListener("change", showVariables);
if (promptName) showVariables();
if (matchMedia("(min-width: 64rem)").matches) byId("drawer").open = true;
