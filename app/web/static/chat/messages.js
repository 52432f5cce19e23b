// Shows the messages of a conversation.

import { h, icon, iconButton } from "./dom.js";
import { adoptStyles } from "./styles.js";

/** The message log, with one element per message. */
export class MessageLog {
  element;
  #views = new Map();
  #context;
  #isFollowing = true; // until the reader scrolls up

  /** @param context `{text, again, say, root}`: texts, retry, announce to screen readers, shadow root */
  constructor(context, greeting) {
    this.#context = context;
    this.greeting = h("div", { class: "greeting", part: "greeting" }, greeting);
    this.element = h("div", { class: "log", part: "log", role: "log", "aria-live": "off", tabindex: "0", "aria-label": context.text("conversation") });
    this.element.addEventListener("scroll", () => (this.#isFollowing = this.isAtEnd), { passive: true });
  }

  update({ messages, lastAnswer, state }) {
    const { element } = this;
    for (const [message, view] of this.#views) {
      if (messages.includes(message)) continue;
      view.element.remove();
      this.#views.delete(message);
    }
    this.greeting.remove();
    if (!messages.length) element.append(this.greeting);
    for (const message of messages) {
      if (!this.#views.has(message)) {
        const view = message.role === "user" ? new UserMessage(message, this.#context) : new Answer(message, this.#context, () => this.follow());
        this.#views.set(message, view);
        element.append(view.element);
      }
      this.#views.get(message).update(message === lastAnswer, state);
    }
    this.follow();
  }

  /** Scrolls to the end, unless the reader has scrolled up. */
  follow() {
    if (this.#isFollowing) this.scrollToEnd();
  }

  scrollToEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }

  get isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < 48;
  }
}

class UserMessage {
  constructor({ text, files = [] }, context) {
    const list = h("div", { class: "files" });
    void showFiles(list, files, context);
    this.element = h(
      "article",
      { class: "user", part: "message user-message" },
      h("span", { class: "hidden" }, context.text("you")),
      list,
      text && h("div", { class: "text plain", dir: "auto" }, text),
    );
  }

  update() {}
}

class Answer {
  #text = h("div", { class: "text", part: "text" });
  #tools = h("div");
  #end = h("div");
  #markdown = null;
  #shown = [];

  constructor(message, context, onLoad) {
    Object.assign(this, { message, context });
    this.element = h(
      "article",
      { part: "message assistant-message" },
      h("span", { class: "hidden" }, context.text("assistant")),
      this.#tools,
      this.#text,
      this.#end,
    );
    void this.#load().then(onLoad);
  }

  async #load() {
    const modules = await Promise.all([import("./markdown.js"), import("./answer_styles.js")]).catch(() => null);
    if (!modules) return; // the text stays plain
    const [{ MarkdownView }, { ANSWER_CSS }] = modules;
    adoptStyles(this.context.root, ANSWER_CSS);
    this.#text.textContent = "";
    this.#text.classList.remove("plain");
    this.#markdown = new MarkdownView(this.#text, { codeBar: (getText, language) => this.#showCodeBar(getText, language) });
    this.#showText();
  }

  update(isLast, state) {
    const { text, status, tools = [], finishReason } = this.message;
    const shown = [text, status, this.message.tools, isLast, status === "writing" && state];
    if (shown.every((value, at) => value === this.#shown[at])) return;
    this.#shown = shown;
    this.#showText();
    this.#tools.replaceChildren(...tools.map((tool) => this.#showTool(tool)));
    this.#end.replaceChildren(...this.#describeEnd(isLast, state, status, finishReason));
  }

  #showText() {
    const { text, status } = this.message;
    if (this.#markdown) return this.#markdown.update(text, status === "writing");
    this.#text.classList.add("plain");
    this.#text.textContent = text;
  }

  #showTool({ name, status }) {
    const words = this.context.text(status === "failed" ? "toolFailed" : "tool", { name });
    return h("div", { class: "note tool", part: "tool", "data-status": status }, words);
  }

  #describeEnd(isLast, state, status, finishReason) {
    const { text, again } = this.context;
    if (status === "writing") return state === "waiting" ? [h("div", { class: "typing", part: "typing" }, text("writing"))] : [];
    const note = status === "stopped" ? "stopped" : status === "cut" ? "cut" : finishReason === "length" ? "length" : null;
    const copy = iconButton("copy", text("copy"), "copy", () => this.#copy(copy, this.message.text));
    const regenerate = isLast && iconButton("again", text("regenerate"), "regenerate", again);
    return [...(note ? [h("div", { class: "note", part: "note" }, text(note))] : []), h("div", { class: "actions", part: "actions" }, copy, regenerate)];
  }

  #showCodeBar(getText, language) {
    const copy = iconButton("copy", this.context.text("copy"), "copy", () => this.#copy(copy, getText()));
    return h("div", { class: "bar" }, h("span", {}, language), copy);
  }

  async #copy(button, words) {
    const { copyText } = await import("./clipboard.js");
    await copyText(words, button);
    this.context.say(this.context.text("copied"));
    button.replaceChildren("✓");
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  }
}

/** Shows files in an element; `remove` returns the click handler of each file. */
export async function showFiles(element, files, context, remove) {
  const { showFile } = files.length ? await import("./attachments.js") : {};
  element.replaceChildren(...files.map((file) => showFile(file, context, remove?.(file))));
}
