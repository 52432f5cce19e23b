// Converts the conversation to the messages of a request.

const MAX_MESSAGES = 500;
const MAX_FILES = 20;
const MAX_FILE_CHARS = 16_000_000; // of all data URLs: by default a server accepts bodies of 20 MB

/** Returns `messages` without refused ones, and with as many of the latest files as fit. */
export function toWire(messages) {
  const said = messages.filter(({ isRefused, role, text, toolCalls }) => !isRefused && (role === "user" || text || toolCalls));
  const recent = said.slice(-MAX_MESSAGES);
  const sendable = chooseFiles(recent);
  return recent.map((message) => (message.role === "user" ? userMessage(message, sendable) : assistantMessage(message)));
}

function chooseFiles(messages) {
  let chars = 0;
  const chosen = new Set();
  for (const file of messages.flatMap(({ files = [] }) => files).reverse()) {
    chars += file.url?.length ?? 0;
    if (file.url && chars <= MAX_FILE_CHARS && chosen.size < MAX_FILES) chosen.add(file);
  }
  return chosen;
}

function userMessage({ text, files = [] }, sendable) {
  if (!files.length) return { role: "user", content: text };
  const parts = files.map((file) => (sendable.has(file) ? filePart(file) : { type: "text", text: `[${file.name}]` }));
  return { role: "user", content: [...(text.trim() ? [{ type: "text", text }] : []), ...parts] };
}

function filePart({ name, type, url }) {
  if (type === "application/pdf") return { type: "file", file: { filename: name, file_data: url } };
  return { type: "image_url", image_url: { url } };
}

function assistantMessage({ text, toolCalls, reasoning }) {
  return { role: "assistant", content: text, ...(toolCalls && { toolCalls }), ...(reasoning && { reasoning }) };
}
