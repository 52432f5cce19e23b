// Stores a conversation in the browser's storage, to restore it after a reload.

const MAX_MESSAGES = 200;

export class History {
  key;
  #store;
  #kind;

  /** @param kind "session" (until the tab is closed), "local", or "none" */
  constructor(kind, key) {
    [this.#kind, this.key] = [kind, `gatehouse-chat:${key}`];
    try {
      this.#store = { session: globalThis.sessionStorage, local: globalThis.localStorage }[kind] ?? null;
    } catch {
      this.#store = null; // not allowed, such as in a sandboxed frame
    }
  }

  is(kind, key) {
    return kind === this.#kind && this.key === `gatehouse-chat:${key}`;
  }

  load() {
    try {
      const { messages } = JSON.parse(this.#store?.getItem(this.key)) ?? {};
      return Array.isArray(messages) ? messages.filter(isMessage) : [];
    } catch {
      return [];
    }
  }

  /** Stores the latest messages. If the storage is full, drops file contents first, then the oldest messages. */
  save(messages) {
    if (!this.#store) return;
    if (!messages.length) return this.#attempt(() => this.#store.removeItem(this.key));
    for (let recent = messages.slice(-MAX_MESSAGES), hasFiles = true; recent.length; hasFiles ? (hasFiles = false) : (recent = recent.slice(Math.ceil(recent.length / 2)))) {
      const text = JSON.stringify({ messages: hasFiles ? recent : recent.map(withoutContents) });
      if (this.#attempt(() => this.#store.setItem(this.key, text))) return;
    }
    this.#attempt(() => this.#store.removeItem(this.key));
  }

  #attempt(change) {
    try {
      change();
      return true;
    } catch {
      return false;
    }
  }
}

function withoutContents({ files, ...message }) {
  return files ? { ...message, files: files.map(({ url, ...file }) => file) } : message;
}

/** Returns whether a stored value is a valid message: other code may have written it. */
function isMessage(value) {
  const isFile = (file) => typeof file?.name === "string" && typeof file.type === "string" && ["string", "undefined"].includes(typeof file.url);
  return (
    ["user", "assistant"].includes(value?.role) &&
    typeof value.text === "string" &&
    (value.files === undefined || (Array.isArray(value.files) && value.files.every(isFile))) &&
    (value.tools === undefined || (Array.isArray(value.tools) && value.tools.every((tool) => typeof tool?.name === "string")))
  );
}
