// Announces the answer to screen readers, by sentence instead of by token.

import { h } from "./dom.js";

const SENTENCE = /[^]*(?:[.!?…]["'”»)]?(?=\s)|[。！？]|\n)/;
const MAX_LINES = 30;

export class Announcer {
  element = h("div", { class: "hidden", role: "status", "aria-live": "polite", "aria-atomic": "false" });
  #announced = Infinity; // announced characters of the answer; Infinity: all of it

  say(text) {
    if (!text) return;
    this.element.append(h("p", {}, text));
    while (this.element.childNodes.length > MAX_LINES) this.element.firstChild.remove();
  }

  begin() {
    this.#announced = 0;
  }

  /** Announces sentences completed since the last call; with `isOver` also the rest. */
  follow(text, isOver) {
    if (text.length < this.#announced && this.#announced < Infinity) this.#announced = 0; // the answer restarted
    const rest = text.slice(this.#announced);
    const sentences = isOver ? rest : (SENTENCE.exec(rest)?.[0] ?? "");
    this.#announced = isOver ? Infinity : this.#announced + sentences.length;
    this.say(strip(sentences));
  }
}

/** Removes Markdown syntax, which would be read aloud. */
function strip(text) {
  return text
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^[ \t]*(?:#{1,6}|>|[-*+]|`{3,}\w*|~{3,}\w*)[ \t]*|[*`|]+|_{2,}|^[|:\- \t]+$/gm, " ")
    .replace(/\s+/g, " ")
    .trim();
}
