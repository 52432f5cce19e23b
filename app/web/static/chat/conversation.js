// The state of a conversation, without its display: messages, the running answer, and errors.

import { toWire } from "./wire.js";

const MAX_COUNTDOWN_S = 3600; // a longer wait is shown as a time

/** The text for each error code of the server. */
const KINDS = {
  unauthenticated: "signedOut",
  token_failed: "signedOut",
  forbidden: "forbidden",
  origin_not_allowed: "forbidden",
  budget_exceeded: "budget",
  content_filter: "filtered",
  refused: "filtered",
  context_length_exceeded: "tooLong",
  body_too_large: "tooLarge",
  network_error: "network",
};

const REFUSED = new Set(["filtered", "tooLong", "tooLarge", "invalid"]); // because of the message
const FINAL = new Set([...REFUSED, "forbidden", "budget"]); // retrying cannot help

export class Conversation {
  messages = [];
  state = "idle"; // waiting (for the first token), streaming, paused (countdown or offline), idle
  notice = null; // why there is no answer
  warning = null; // an error of the draft
  allowance = null; // {left, limit}
  #stream = null;
  #client;
  #fields;
  #onChange;
  #report;

  /** `onChange` gets true if the conversation must be stored at once; `report` gets "message" or "error", and the message or error. */
  constructor({ client, fields, onChange, report }) {
    this.#client = client;
    this.#fields = fields;
    this.#onChange = onChange;
    this.#report = report;
  }

  get isBusy() {
    return this.#stream !== null;
  }

  /** Returns the answer that can be regenerated, or undefined. */
  get lastAnswer() {
    const last = this.messages.at(-1);
    return last?.role === "assistant" && !this.isBusy ? last : undefined;
  }

  async send(text, files = []) {
    if (this.isBusy || (!text.trim() && !files.length)) return;
    const message = { role: "user", text, files };
    this.warning = null;
    this.messages.push(message);
    this.#report("message", message);
    await this.#ask();
  }

  /** Requests another answer in place of the last one, or retries one that failed. */
  async again() {
    if (this.isBusy || !this.messages.length) return;
    if (this.lastAnswer) this.messages.pop();
    delete this.messages.at(-1)?.isRefused;
    await this.#ask();
  }

  stop() {
    return this.#stream?.stop();
  }

  clear() {
    void this.stop();
    this.#stream = null;
    this.messages = [];
    this.#set("idle", null, true);
  }

  dismiss() {
    this.warning = null;
    this.#set(this.state, null);
  }

  warn(kind, values) {
    this.warning = { kind, values };
    this.#onChange();
  }

  /** Restores a stored conversation. */
  restore(messages) {
    this.messages = messages;
    const last = messages.at(-1);
    if (last?.status === "writing" && !last.streamId) this.#end(last, "cut");
    this.#onChange();
  }

  /** Resumes the answer that was running when the page was left. */
  async resume() {
    const answer = this.messages.at(-1);
    if (!answer?.streamId || this.isBusy) return;
    const options = { lastEventId: 0, onResponse: this.#readAllowance };
    await this.#read(() => this.#client().resumeStream(answer.streamId, options), answer, true);
  }

  async #ask() {
    const wire = toWire(this.messages);
    const answer = { role: "assistant", text: "", status: "writing", tools: [] };
    this.messages.push(answer);
    await this.#read(() => this.#client().streamChat(wire, { ...this.#fields(), onResponse: this.#readAllowance }), answer);
  }

  async #read(open, answer, isResumed = false) {
    let stream = null;
    let isComplete = false;
    try {
      this.#stream = stream = open();
      this.#set("waiting", null, true);
      for await (const event of stream) {
        if (this.#stream !== stream) return; // cleared
        if (isResumed && event.type === "token") [answer.text, isResumed] = ["", false]; // resent from the beginning
        isComplete ||= event.type === "done";
        this.#take(event, answer, stream);
      }
      if (this.#stream === stream) this.#finish(answer, isComplete ? "done" : "stopped");
    } catch (error) {
      if (this.#stream === stream) this.#fail(answer, error, isResumed);
    }
  }

  #take(event, answer, { streamId }) {
    const isNew = streamId && answer.streamId !== streamId;
    if (isNew) answer.streamId = streamId;
    switch (event.type) {
      case "token":
        answer.text += event.token;
        return this.#set("streaming", null, isNew);
      case "tool":
        answer.tools = [...answer.tools.filter(({ id }) => id !== event.tool.id), event.tool];
        return this.#set(this.state === "streaming" ? "streaming" : "waiting", null, isNew);
      case "offline":
        return this.#set("paused", { kind: "offline" });
      case "retrying":
        if (event.after >= 1) return this.#set("paused", { kind: "wait", until: Date.now() + event.after * 1000 });
        return this.#set("waiting", null);
      case "done":
        answer.finishReason = event.finishReason;
        if (event.toolCalls) this.#takeCalls(answer, event.toolCalls);
        if (event.reasoning) answer.reasoning = event.reasoning;
    }
    this.#onChange(isNew);
  }

  #takeCalls(answer, calls) {
    answer.toolCalls = calls;
    answer.tools = [...answer.tools, ...calls.map(({ id, function: { name } }) => ({ id, name, status: "done" }))];
  }

  #finish(answer, status) {
    this.#end(answer, status);
    const isFiltered = answer.finishReason === "content_filter";
    if (isFiltered) this.messages.findLast(({ role }) => role === "user").isRefused = true;
    this.#stream = null;
    this.#set("idle", isFiltered ? { kind: "filtered" } : null, true);
    if (this.messages.includes(answer)) this.#report("message", answer);
  }

  #fail(answer, error, isResumed) {
    this.#end(answer, "cut");
    this.#stream = null;
    const isGone = isResumed && error.status === 404; // no longer stored
    const isStopped = error.code === "stopped";
    this.#set("idle", isGone || isStopped ? null : this.#describe(error), true);
    if (!isStopped) this.#report("error", error);
  }

  #end(answer, status) {
    answer.status = status;
    delete answer.streamId;
    answer.tools = answer.tools?.filter((tool) => tool.status !== "running");
    if (!answer.text && !answer.tools?.length && !answer.toolCalls) this.messages.splice(this.messages.indexOf(answer), 1);
  }

  #describe({ code, status, retryAfter, message, requestId }) {
    const isRefused = status === 401 || status === 403;
    const kind = (code === "token_failed" && !isRefused ? "failed" : KINDS[code]) ?? (status === 429 || status === 503 ? "busy" : status === 400 ? "invalid" : "failed");
    const notice = { kind, requestId, canRetry: !FINAL.has(kind) };
    if (REFUSED.has(kind)) this.messages.findLast(({ role }) => role === "user").isRefused = true;
    if (kind === "invalid") notice.detail = message;
    if (kind === "network" && !navigator.onLine) notice.kind = "offline";
    if (retryAfter > 0) {
      notice.until = Date.now() + retryAfter * 1000;
      if (retryAfter <= MAX_COUNTDOWN_S) notice.canRetry = true;
      if (retryAfter <= MAX_COUNTDOWN_S && kind !== "budget") notice.kind = "wait";
    }
    return notice;
  }

  #readAllowance = ({ headers }) => {
    const [limit, left] = [headers.get("RateLimit-Limit"), headers.get("RateLimit-Remaining")];
    if (left !== null) this.allowance = { left, limit };
  };

  #set(state, notice, mustSave = false) {
    Object.assign(this, { state, notice });
    this.#onChange(mustSave);
  }
}
