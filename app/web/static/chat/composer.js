// The input of a message: text, and files by button, drop or paste.

import { h, icon, iconButton } from "./dom.js";
import { showFiles } from "./messages.js";

const ACCEPT = "image/png,image/jpeg,image/webp,image/gif,image/heic,image/avif,application/pdf,.heic,.pdf";

export class Composer {
  files = [];
  #context;
  #reading = 0; // files that are being read

  /** @param context `{text, send, stop, warn, limits}`; @param draft another composer, whose text and files are copied */
  constructor(context, draft) {
    this.#context = context;
    const { text } = context;
    this.input = h("textarea", { part: "input", rows: "1", dir: "auto", enterkeyhint: "send", "aria-label": text("placeholder"), placeholder: text("placeholder"), keydown: (event) => this.#onKey(event), input: () => (this.#fit(), this.update()), paste: (event) => this.#onPaste(event) });
    this.picker = h("input", { type: "file", multiple: true, hidden: true, accept: ACCEPT, change: () => this.#onPick() });
    this.list = h("div", { class: "files", part: "files" });
    this.attach = iconButton("attach", text("attach"), "attach", () => this.picker.click());
    this.attach.classList.add("attach");
    this.button = h("button", { type: "submit", class: "icon main", part: "button send" });
    this.element = h("form", { class: "composer", part: "composer", submit: (event) => this.#onSubmit(event) }, this.list, h("div", { class: "line" }, this.attach, this.picker, this.input, this.button));
    if (draft) [this.input.value, this.files] = [draft.input.value, draft.files];
    this.update(false);
    this.#showFiles();
  }

  acceptDrops(area, sign) {
    const accepts = ({ dataTransfer }) => dataTransfer?.types.includes("Files") && this.#context.limits().maxFiles > 0;
    const listen = (type, listener) => area.addEventListener(type, listener);
    listen("dragleave", ({ relatedTarget }) => (sign.hidden ||= !area.contains(relatedTarget)));
    listen("dragover", (event) => {
      if (!accepts(event)) return;
      event.preventDefault();
      sign.hidden = false;
    });
    listen("drop", (event) => {
      sign.hidden = true;
      if (!accepts(event)) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
      this.input.focus();
    });
  }

  update(isBusy = this.isBusy) {
    const wasBusy = this.isBusy;
    this.isBusy = isBusy;
    if (wasBusy !== isBusy) {
      const name = isBusy ? "stop" : "send";
      this.button.replaceChildren(icon(name));
      this.button.title = this.#context.text(name);
      this.button.setAttribute("aria-label", this.button.title);
    }
    this.button.disabled = !isBusy && !this.#canSend();
  }

  /** Fits the input's height to its text if CSS cannot. */
  #fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.blockSize = "auto";
    this.input.style.blockSize = `${this.input.scrollHeight}px`;
  }

  #canSend() {
    return !this.#reading && (this.input.value.trim() !== "" || this.files.length > 0);
  }

  #onKey(event) {
    // Not during input method composition, where Enter accepts a word (keyCode 229 in Safari).
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!this.isBusy) this.#submit();
  }

  #onSubmit(event) {
    event.preventDefault();
    if (this.isBusy) this.#context.stop();
    else this.#submit();
    this.input.focus();
  }

  #submit() {
    if (!this.#canSend()) return;
    const [text, files] = [this.input.value, this.files];
    this.input.value = "";
    this.#fit();
    this.files = [];
    this.#showFiles();
    this.#context.send(text, files);
  }

  #onPaste(event) {
    if (!event.clipboardData.files.length || !this.#context.limits().maxFiles) return;
    event.preventDefault();
    this.add(event.clipboardData.files);
  }

  #onPick() {
    this.add(this.picker.files);
    this.picker.value = "";
    this.input.focus();
  }

  async add(fileList) {
    const { maxFiles, maxBytes } = this.#context.limits();
    const given = [...fileList];
    const taken = given.slice(0, Math.max(0, maxFiles - this.files.length - this.#reading));
    if (taken.length < given.length) this.#context.warn("fileCount", { count: maxFiles });
    this.#reading += taken.length;
    this.update();
    for (const file of taken) {
      try {
        const { readFile } = await import("./attachments.js");
        const read = await readFile(file, maxBytes);
        this.files = [...this.files, read];
      } catch ({ kind = "fileBad", name = file.name }) {
        this.#context.warn(kind, { name, size: Math.round(maxBytes / 1e6) });
      }
      this.#reading -= 1;
      this.#showFiles();
    }
  }

  #showFiles() {
    const remove = (file) => () => {
      this.files = this.files.filter((other) => other !== file);
      this.#showFiles();
      this.input.focus();
    };
    void showFiles(this.list, this.files, this.#context, remove);
    this.update();
  }
}
