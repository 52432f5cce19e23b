/**
 * <gatehouse-chat>: a conversation with a model, for any page.
 *
 *   <script type="module" src="https://ai.example.com/static/gatehouse-chat.js"></script>
 *   <gatehouse-chat token-url="/gatehouse-token"></gatehouse-chat>
 *
 * See docs/component.md for its attributes, properties, events, texts and parts.
 */

import { Announcer } from "./chat/announcer.js";
import { Composer } from "./chat/composer.js";
import { Conversation } from "./chat/conversation.js";
import { h } from "./chat/dom.js";
import { createFrame } from "./chat/frame.js";
import { History } from "./chat/history.js";
import { MessageLog } from "./chat/messages.js";
import { Notice } from "./chat/notice.js";
import { adoptStyles } from "./chat/styles.js";
import { createTexts, loadWords, TEXT_NAMES } from "./chat/texts.js";
import { Gatehouse } from "./gatehouse.js";

const OWN_SERVER = new URL("..", import.meta.url).href; // the origin of this file
const SAVE_EVERY_MS = 1000;
const DRAW_EVERY_MS = 40;
const TOKEN_TIMEOUT_MS = 30_000;
const OWN_TEXTS = new Set(["heading", "disclosure", "greeting", "placeholder"]); // also attributes

const toAttribute = (text) => `text-${text.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

export class GatehouseChat extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["lang", "mode", "open", "url", "token-url", "attachments", "allowance", "storage", "storage-key", ...OWN_TEXTS, ...TEXT_NAMES.map(toAttribute)];

  // The page may set token, fields and fetch before this file is loaded: they are read at each use.
  #texts = {};
  #conversation;
  #history;
  #client;
  #views;
  #budget = null;
  #builds = 0;
  #saved = 0;
  #drawing;

  constructor() {
    super();
    adoptStyles(this.attachShadow({ mode: "open" }));
    const { texts } = this;
    delete this.texts; // set before this file was loaded
    this.#texts = texts ?? {};
  }

  connectedCallback() {
    this.#restore();
    void this.#build();
    addEventListener("pagehide", this.#save);
    addEventListener("storage", this.#followOtherTab);
  }

  disconnectedCallback() {
    removeEventListener("pagehide", this.#save);
    removeEventListener("storage", this.#followOtherTab);
    this.#save();
    this.#views?.notice.close();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || !this.#conversation) return;
    if (name.endsWith("url")) this.#client = null; // and its token
    else if (name === "open") this.#follow(after !== null);
    else if (name.startsWith("storage")) this.#restore();
    else void this.#build();
  }

  get messages() {
    return structuredClone(this.#conversation?.messages ?? []);
  }

  get texts() {
    return this.#texts;
  }

  set texts(texts) {
    this.#texts = texts;
    if (this.#conversation) void this.#build();
  }

  get isOpen() {
    return !this.#views?.panel.hidden;
  }

  /** Sends a message of the visitor. */
  send(text, files) {
    return this.#conversation?.send(text, files);
  }

  stop() {
    return this.#conversation?.stop();
  }

  /** Requests another answer in place of the last one, or retries the one that failed. */
  retry() {
    return this.#conversation?.again();
  }

  clear() {
    this.#conversation?.clear();
    this.focus();
  }

  open() {
    this.#follow(true);
  }

  close() {
    this.#follow(false);
  }

  focus(options) {
    this.#views?.composer.input.focus(options);
  }

  /** Restores the conversation that is stored under the element's key, unless it is already shown. */
  #restore() {
    const kind = this.getAttribute("storage") ?? "session";
    const key = this.getAttribute("storage-key") ?? `${location.pathname}#${this.id}`;
    if (this.#history?.is(kind, key)) return;
    if (this.#history) this.#save();
    this.#history = new History(kind, key);
    const conversation = new Conversation({
      client: () => this.#getClient(),
      fields: () => this.#listFields(),
      onChange: (mustSave) => conversation === this.#conversation && this.#onChange(mustSave),
      report: (what, detail) => this.#report(what, detail),
    });
    this.#conversation = conversation;
    conversation.restore(this.#history.load());
    whenScriptsHaveRun(() => {
      if (conversation === this.#conversation) void conversation.resume();
      if (this.getAttribute("allowance") === "budget") void this.#readBudget();
    });
  }

  #getClient() {
    return (this.#client ??= new Gatehouse({
      url: new URL(this.getAttribute("url") ?? OWN_SERVER, document.baseURI).href,
      token: () => this.#fetchToken(),
      fetch: (...request) => (this.fetch ?? globalThis.fetch)(...request),
    }));
  }

  async #readBudget() {
    const { readBudget } = await import("./chat/budget.js");
    this.#budget = await readBudget(this.#getClient(), this.#views?.language);
    this.#draw();
  }

  #fetchToken() {
    const url = this.getAttribute("token-url");
    const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS);
    const options = { credentials: "same-origin", cache: "no-store", headers: { Accept: "application/json" }, signal };
    return this.token?.() ?? (url && fetch(new URL(url, document.baseURI), options));
  }

  #listFields() {
    const [model, promptName] = [this.getAttribute("model"), this.getAttribute("prompt")];
    return { ...(model && { model }), ...(promptName && { promptName }), ...this.fields };
  }

  /** Builds all views again. Keeps the conversation and the draft. */
  async #build() {
    const build = (this.#builds += 1);
    const { language, words } = await loadWords([this.lang, this.closest("[lang]")?.lang, ...navigator.languages]);
    if (build !== this.#builds) return; // superseded
    const text = createTexts(words, (name) => this.#findOwnText(name));
    const isFloating = this.getAttribute("mode") === "floating";
    const announcer = new Announcer();
    const context = {
      root: this.shadowRoot,
      text,
      language,
      say: (words) => announcer.say(words),
      send: (...message) => void this.send(...message),
      stop: () => void this.stop(),
      again: () => this.#leaveButton(() => void this.retry()),
      clear: () => this.clear(),
      dismiss: () => this.#leaveButton(() => this.#conversation.dismiss()),
      warn: (kind, values) => this.#conversation.warn(kind, values),
      limits: () => this.#readLimits(),
      toggle: () => this.#toggle(),
      onKey: (event) => this.#onKey(event),
      isFloating,
      isOpen: !isFloating || this.hasAttribute("open"),
      hasDisclosure: this.getAttribute("disclosure") !== "none",
      hasFiles: this.#readLimits().maxFiles > 0,
    };
    const log = new MessageLog(context, h("slot", { name: "greeting" }, h("bdi", {}, text("greeting"))));
    const views = { log, announcer, composer: new Composer(context, this.#views?.composer), notice: new Notice(context) };
    const frame = createFrame(context, views);
    log.element.addEventListener("scroll", () => (frame.latest.hidden = log.isAtEnd), { passive: true });
    this.#views?.notice.close();
    this.#views = { ...views, ...frame, text, language };
    this.shadowRoot.replaceChildren(frame.root);
    if (isFloating && this.isConnected) frame.root.showPopover?.();
    this.#draw();
    log.scrollToEnd();
  }

  #findOwnText(name) {
    return (OWN_TEXTS.has(name) && this.getAttribute(name)) || this.getAttribute(toAttribute(name)) || this.texts[name];
  }

  #readLimits() {
    const read = (name, fallback) => Number(this.getAttribute(name)) || fallback;
    return { maxFiles: this.getAttribute("attachments") === "none" ? 0 : read("max-files", 4), maxBytes: read("max-file-mb", 10) * 1e6 };
  }

  #onChange(mustSave) {
    const { messages, isBusy, state, notice, warning } = this.#conversation;
    const { text, status } = messages.at(-1) ?? {};
    const shown = isBusy ? state : ((notice ?? warning)?.kind ?? state);
    if (mustSave || Date.now() - this.#saved > SAVE_EVERY_MS) this.#save();
    if (state === "waiting") this.#views?.announcer.begin();
    else if (status) this.#views?.announcer.follow(text, status !== "writing");
    if (shown === this.getAttribute("state")) return void (this.#drawing ??= setTimeout(() => this.#draw(), DRAW_EVERY_MS));
    this.#draw();
    this.setAttribute("state", shown);
  }

  #draw() {
    clearTimeout(this.#drawing);
    this.#drawing = null;
    if (!this.#views) return;
    const { log, composer, notice, clear, latest, allowance, text } = this.#views;
    const conversation = this.#conversation;
    composer.update(conversation.isBusy);
    notice.update(conversation.notice ?? conversation.warning, conversation.isBusy);
    clear.hidden = !conversation.messages.length;
    const kind = this.getAttribute("allowance");
    const left = kind === "budget" ? this.#budget && text("budgetLeft", { left: this.#budget }) : conversation.allowance && text("left", conversation.allowance);
    allowance.hidden = !left || kind === "none";
    allowance.textContent = left;
    log.update(conversation);
    latest.hidden = log.isAtEnd;
  }

  #save = () => {
    this.#saved = Date.now();
    this.#history.save(this.#conversation.messages);
  };

  /** Restores what another tab has stored, unless this one is busy. */
  #followOtherTab = ({ key }) => {
    const conversation = this.#conversation;
    if (key !== this.#history.key || conversation.isBusy) return;
    this.#saved = Date.now(); // already stored
    conversation.restore(this.#history.load());
    void conversation.resume();
  };

  #report(what, detail) {
    if ((what === "error" || detail?.role === "assistant") && this.getAttribute("allowance") === "budget") void this.#readBudget();
    this.dispatchEvent(new CustomEvent(`gatehouse-${what}`, { detail, bubbles: true, composed: true }));
  }

  #follow(isOpen) {
    if (this.#views && isOpen !== this.isOpen) this.#toggle();
  }

  #toggle() {
    const { panel, launcher, log, text } = this.#views;
    if (!launcher) return;
    panel.hidden = !panel.hidden;
    launcher.title = text(panel.hidden ? "open" : "close");
    launcher.setAttribute("aria-label", launcher.title);
    launcher.setAttribute("aria-expanded", !panel.hidden);
    this.toggleAttribute("open", !panel.hidden);
    if (panel.hidden) {
      launcher.focus();
    } else {
      log.scrollToEnd();
      this.focus();
    }
    this.#report(panel.hidden ? "close" : "open");
  }

  /** Runs an action that removes its button; the log gets the focus, as the input would open a phone's keyboard. */
  #leaveButton(act) {
    this.#views.log.element.focus({ preventScroll: true });
    act();
  }

  /** Escape stops a running answer, else closes a floating chat. */
  #onKey(event) {
    if (event.key !== "Escape" || event.isComposing) return;
    if (this.#conversation.isBusy) void this.stop();
    else this.close();
  }
}

/** Waits until the page's scripts, which may set properties, have run. */
function whenScriptsHaveRun(go) {
  if (document.readyState === "complete") return setTimeout(go);
  const controller = new AbortController();
  const options = { signal: controller.signal };
  const run = () => (controller.abort(), go());
  addEventListener("DOMContentLoaded", run, options);
  addEventListener("load", run, options);
}

// Already defined if loaded twice; undefined if a server renders the page.
if (!globalThis.customElements?.get("gatehouse-chat")) globalThis.customElements?.define("gatehouse-chat", GatehouseChat);
