/**
 * The Gatehouse client for web pages and Node.
 *
 *   import { Gatehouse } from "https://ai.example.com/static/gatehouse.js";
 *
 *   const g = new Gatehouse({ url: "https://ai.example.com", token: () => fetch("/gatehouse-token") });
 *   const { reply } = await g.chat("Hello");
 *   for await (const { token } of g.streamChat("Hello")) output.append(token ?? "");
 *
 * docs/frontend.md is the guide.
 */

const RENEW_EARLY_S = 30; // before a token expires
const MAX_WAIT_S = 120; // a longer Retry-After is an error
const MAX_RECONNECTS = 6; // in a row: at once, then after 0.5, 1, 2, 4 and 8 s
const MAX_SILENCE_S = 40; // heartbeats come every 15 s

/** An error. Its message may be shown to a visitor. */
export class GatehouseError extends Error {
  constructor(message, { code, status = null, retryAfter = null, requestId = null, cause } = {}) {
    super(message, { cause });
    const [, field = null] = /^(?:Missing |Unknown field |(?=[^ ]+: ))([\w.-]*\w)/.exec(message) ?? [];
    Object.assign(this, { name: "GatehouseError", code, status, retryAfter, requestId, field });
  }
}

export class Gatehouse {
  #url;
  #token;
  #headers;
  #fetch;

  constructor({ url = "", token, headers, fetch = (...request) => globalThis.fetch(...request) } = {}) {
    this.#url = String(url).replace(/\/+$/, "");
    this.#token = new Token(token);
    this.#headers = headers;
    this.#fetch = fetch;
  }

  chat(conversation, options) {
    return this.#ask("/api/chat", readConversation(conversation), options);
  }

  streamChat(conversation, options) {
    return this.#stream("/api/chat/stream", readConversation(conversation), options);
  }

  vision(prompt, images, options) {
    return this.#ask("/api/vision", readImages(prompt, images), options);
  }

  streamVision(prompt, images, options) {
    return this.#stream("/api/vision/stream", readImages(prompt, images), options);
  }

  embed(input, options) {
    return this.#ask("/api/embeddings", { input }, options);
  }

  similarity(text, other, options) {
    const texts = Array.isArray(other) ? { query: text, documents: other } : { a: text, b: other };
    return this.#ask("/api/embeddings/similarity", texts, options);
  }

  structured(conversation, options) {
    return this.#ask("/api/structured", readConversation(conversation), options);
  }

  streamStructured(conversation, options) {
    return this.#stream("/api/structured/stream", readConversation(conversation), options);
  }

  /** Returns the visitor's token. */
  getToken() {
    return this.#token.get();
  }

  usage(options) {
    const { how, onRetrying, rest } = splitOptions(options);
    const path = `/api/usage?${new URLSearchParams(rest)}`;
    return finish(this.#send(path, { ...how, method: "GET", isRepeatable: true, read: readAnswer }), onRetrying);
  }

  /** Resumes a stream, for example after a reload. */
  resumeStream(streamId, { lastEventId = "0", ...options } = {}) {
    return Object.assign(this.#stream(null, {}, options), { streamId, lastEventId });
  }

  /** Requests a complete answer. The key ensures that retries are not billed. */
  #ask(path, fields, options) {
    const { how, onRetrying, idempotencyKey: key, rest } = splitOptions(options);
    const headers = { "Idempotency-Key": key ?? crypto.getRandomValues(new Uint32Array(4)).join("-") };
    const body = writeBody({ ...fields, ...rest });
    return finish(this.#send(path, { ...how, headers, body, isRepeatable: true, read: readAnswer }), onRetrying);
  }

  #stream(path, fields, options) {
    const { how, rest } = splitOptions(options);
    const send = (to, request) => this.#send(to, { ...how, ...request });
    return new AnswerStream(send, path, writeBody({ resumable: true, ...fields, ...rest }), how.signal);
  }

  /** Sends a request and returns its response. Yields an event before each wait for a retry. */
  async *#send(path, { headers, retries = 2, isRepeatable, onResponse, read, signal, ...init }) {
    let hasRenewed = false;
    for (let tries = 0; ; ) {
      const token = await this.#token.get(signal);
      const wasOffline = isOffline(); // then a failed request was not sent
      let after, failure;
      try {
        const authorization = token && { Authorization: `Bearer ${token}` };
        const type = typeof init.body === "string" && { "Content-Type": "application/json" };
        const response = await this.#fetch(this.#url + path, {
          method: "POST",
          headers: { ...type, ...authorization, ...this.#headers, ...headers },
          signal,
          ...init,
        });
        onResponse?.(response);
        if (response.ok) return await (read ? read(response) : response);
        failure = await readError(response);
        after = response.headers.get("X-Should-Retry") === "false" ? null : failure.retryAfter;
      } catch (cause) {
        signal?.throwIfAborted();
        failure = disconnected(cause);
        after = isRepeatable || wasOffline ? 2 ** tries / 2 : null;
      }
      if (failure.status === 401 && !hasRenewed && (await this.#token.replace(token, signal))) {
        hasRenewed = true;
        continue;
      }
      const mayPass = [null, 429, 503].includes(failure.status) && after !== null && after <= MAX_WAIT_S;
      if (!mayPass || tries++ >= retries) throw failure;
      yield* pause(after, signal);
    }
  }
}

/** The events of one answer. Reconnects if the stream is resumable. */
class AnswerStream {
  streamId = null;
  lastEventId = "0";
  #send;
  #path;
  #body;
  #closing = new AbortController();
  #isStopped = false;
  #isOver = false;
  #events;

  constructor(send, path, body, signal) {
    this.#send = send;
    this.#path = path;
    this.#body = body;
    const close = () => this.#closing.abort(signal.reason);
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { once: true });
  }

  [Symbol.asyncIterator]() {
    return (this.#events ??= this.#read());
  }

  /** Stops the answer here and on the server. Ends `for await` without an error. */
  async stop() {
    this.#isStopped = true;
    this.#closing.abort();
    if (!this.streamId || this.#isOver) return;
    const sending = this.#send(`/api/chat/stream/${this.streamId}/stop`, { signal: null, keepalive: true });
    await finish(sending).catch(() => {}); // an unread stream ends anyway
  }

  async *#read() {
    try {
      for (let failures = 0; !this.#isOver; ) {
        try {
          const response = yield* this.#connect(failures);
          for await (const event of this.#readEvents(response)) {
            failures = 0;
            yield event;
          }
        } catch (error) {
          failures += 1;
          const mayPass = error.code === "network_error" || error.status >= 500;
          if (!mayPass || !this.streamId || failures > MAX_RECONNECTS) throw error;
        }
      }
    } catch (error) {
      if (!this.#isStopped) throw error;
    } finally {
      if (!this.#isOver && !this.#isStopped) void this.stop(); // the reader left early
    }
  }

  async *#connect(failures) {
    const { signal } = this.#closing;
    if (!this.streamId) return yield* this.#send(this.#path, { body: this.#body, signal });
    if (failures) yield* pause(failures === 1 ? 0 : 2 ** failures / 8, signal);
    const headers = { "Last-Event-ID": this.lastEventId };
    return yield* this.#send(`/api/chat/stream/${this.streamId}`, { method: "GET", headers, signal });
  }

  async *#readEvents(response) {
    const requestId = response.headers.get("X-Request-ID");
    this.streamId ??= response.headers.get("X-Stream-Id");
    this.#isOver = response.status === 204; // no further events
    if (this.#isOver) return;
    const { signal } = this.#closing;
    for await (const { id, data } of readEvents(response.body, signal, this.streamId && MAX_SILENCE_S)) {
      signal.throwIfAborted(); // also between events of one chunk
      this.lastEventId = id ?? this.lastEventId;
      const { error, done, ...fields } = data;
      this.#isOver = Boolean(error || done);
      if (error) throw new GatehouseError(error, { requestId, ...fields });
      const [type] = Object.keys(fields); // token, tool, partial …; padding comes last
      if (!done) yield { type, [type]: fields[type] };
      if (fields.toolCalls) yield { type: "toolCalls", toolCalls: fields.toolCalls };
      if (done) return yield { type: "done", ...fields, requestId };
    }
    throw disconnected();
  }
}

/** The visitor's token. Fetched at first use, before it expires, and after a 401. */
class Token {
  #source;
  #value;
  #renewAt = 0;
  #expiresAt = 0;
  #renewal = null;

  constructor(given) {
    if (typeof given === "function") this.#source = given;
    else this.#value = given;
  }

  async get(signal) {
    if (!this.#source || (this.#value && Date.now() < this.#renewAt)) return this.#value;
    try {
      return await this.#renew(signal);
    } catch (error) {
      if (signal?.aborted || !this.#value || Date.now() >= this.#expiresAt) throw error;
      return this.#value; // still valid
    }
  }

  /** Returns whether there is a newer token than the refused one. */
  async replace(refused, signal) {
    if (this.#source && this.#value === refused) await this.#renew(signal);
    return this.#value !== refused;
  }

  /** Fetches a token, once for all concurrent callers. */
  #renew(signal) {
    this.#renewal ??= this.#fetch().finally(() => (this.#renewal = null));
    return abortable(this.#renewal, signal);
  }

  async #fetch() {
    try {
      let given = await this.#source();
      let now = Date.now();
      if (given?.text) {
        now = Date.parse(given.headers.get("Date")) || now; // the visitor's clock may be wrong
        if (!given.ok) throw await readError(given);
        given = parseJson(await given.text());
      }
      const { token = given, expiresAt } = given ?? {};
      if (token && !/^[!-~]+$/.test(token)) throw new TypeError("not a token");
      const lifetime = readLifetime(token, expiresAt, now / 1000);
      const early = lifetime > RENEW_EARLY_S ? RENEW_EARLY_S : lifetime / 2;
      this.#expiresAt = Date.now() + lifetime * 1000;
      this.#renewAt = this.#expiresAt - early * 1000;
      return (this.#value = token);
    } catch (cause) {
      throw new GatehouseError("The page got no token.", { ...cause, code: "token_failed", cause });
    }
  }
}

/** Returns the seconds until a token expires, by its own claims if the clock is wrong. */
function readLifetime(token, expiresAt, now) {
  const { iat, exp } = readClaims(token);
  const expires = expiresAt ? new Date(expiresAt) / 1000 : exp;
  if (expires > now && !(iat > now + RENEW_EARLY_S)) return expires - now;
  return exp - iat || Infinity; // unknown: until a 401
}

/** Yields `{ id, data }` of each SSE event. Data must be one line. */
async function* readEvents(body, signal, maxSilenceS) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let silence, id;
  let rest = "";
  try {
    for (;;) {
      if (maxSilenceS) silence = setTimeout(() => reader.cancel(), maxSilenceS * 1000);
      const chunk = await reader.read().catch((cause) => {
        signal.throwIfAborted();
        throw disconnected(cause);
      });
      clearTimeout(silence);
      if (chunk.done) return;
      const lines = (rest + decoder.decode(chunk.value, { stream: true })).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        const [, field, value] = /^(\w+): ?(.*)$/s.exec(line) ?? [];
        if (field === "id") id = value;
        if (field === "data") yield { id, data: JSON.parse(value) };
      }
    }
  } finally {
    clearTimeout(silence);
    reader.cancel().catch(() => {}); // closes the connection
  }
}

function disconnected(cause) {
  return new GatehouseError("The connection was lost.", { code: "network_error", cause });
}

async function readError(response) {
  const { status, headers } = response;
  const { error, code, requestId } = (await response.json().catch(() => null)) ?? {}; // a proxy may send HTML
  const message = typeof error === "string" ? error : `The server answered with the status ${status}.`;
  const retryAfter = Number(headers.get("Retry-After")) || null;
  return new GatehouseError(message, { code, status, retryAfter, requestId: requestId ?? headers.get("X-Request-ID") });
}

async function readAnswer(response) {
  return { ...(await response.json()), requestId: response.headers.get("X-Request-ID") };
}

function readConversation(given) {
  return { messages: typeof given === "string" ? [{ role: "user", content: given }] : given };
}

function readImages(prompt, given) {
  const images = typeof given === "string" || given instanceof Blob ? [given] : [...given];
  return { prompt, [typeof images[0] === "string" ? "images" : "files"]: images };
}

/** Returns a request body: JSON, or a form if there are files. */
function writeBody({ files, ...fields }) {
  if (!files) return JSON.stringify(fields);
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value != null) form.append(name, typeof value === "object" ? JSON.stringify(value) : value);
  }
  for (const file of files) form.append("image", file);
  return form;
}

/** Splits options into those of the client and fields of the request. */
function splitOptions({ signal, retries, onResponse, onRetrying, idempotencyKey, ...rest } = {}) {
  return { how: { signal, retries, onResponse }, onRetrying, idempotencyKey, rest };
}

async function finish(sending, onRetrying) {
  for (;;) {
    const { value, done } = await sending.next();
    if (done) return value;
    onRetrying?.(value);
  }
}

/** Waits, also for the network. Yields an event for each wait. */
async function* pause(seconds, signal) {
  if (isOffline()) {
    yield { type: "offline" };
    await abortable(new Promise((resolve) => addEventListener("online", resolve, { once: true })), signal);
  }
  yield { type: "retrying", after: seconds };
  let timer;
  const passed = new Promise((resolve) => (timer = setTimeout(resolve, seconds * 1000)));
  await abortable(passed, signal).finally(() => clearTimeout(timer));
}

const isOffline = () => globalThis.navigator?.onLine === false;

function abortable(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}

function readClaims(token) {
  const [, claims = ""] = String(token).split(".");
  try {
    return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {}; // not a JWT
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // a bare token
  }
}
