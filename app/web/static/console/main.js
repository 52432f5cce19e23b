// The console at /. Each kind of request has its own file; wire.js shows requests and responses.

import { Gatehouse } from "../gatehouse.js";
import { startBatch } from "./batch.js";
import { byId } from "./dom.js";
import { startEmbeddings } from "./embeddings.js";
import { startImage } from "./image.js";
import { onSettingsChange, readSettings } from "./settings.js";
import { startStructured } from "./structured.js";
import { showCall, wireFetch } from "./wire.js";

const { schema } = JSON.parse(byId("what").dataset.console);
const gatehouse = new Gatehouse({ fetch: wireFetch });
const chat = byId("conversation");

const panels = {
  chat: { draft: () => ({ path: "/api/chat/stream", body: { resumable: true, messages: [...toTurns(chat.messages), { role: "user", content: byId("message").value || "Hello" }], ...readSettings() } }) },
  image: startImage(gatehouse),
  structured: startStructured(gatehouse, schema),
  embeddings: startEmbeddings(gatehouse),
  batch: startBatch(),
};

function toTurns(messages = []) {
  return messages.map(({ role, text, content }) => ({ role, content: content ?? text ?? "" }));
}

/** Return the kind in the URL's fragment, such as #image. */
function readKind() {
  const name = location.hash.slice(1);
  return name in panels ? name : "chat";
}

function showKind() {
  const kind = readKind();
  for (const name of Object.keys(panels)) byId(name).hidden = name !== kind;
  for (const link of byId("kinds").querySelectorAll("a")) {
    if (link.hash === `#${kind}`) link.ariaCurrent = "page";
    else link.removeAttribute("aria-current");
  }
  showDraft();
}

/** Show the current request as code, if it is valid. */
function showDraft() {
  try {
    showCall(panels[readKind()].draft());
  } catch {
    // the schema is not valid JSON yet
  }
}

addEventListener("hashchange", showKind);
onSettingsChange(showDraft);
byId("talk").addEventListener("input", showDraft);
for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;
byId("kinds").hidden = false;
showKind();

await import("../gatehouse-chat.js");
chat.fetch = wireFetch;
Object.defineProperty(chat, "fields", { get: () => readSettings() }); // read at each request
