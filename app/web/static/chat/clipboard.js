// Copies a text. Loaded at first use.

import { h } from "./dom.js";

/** Copies a text, even if the page has no clipboard API, such as over plain HTTP. */
export async function copyText(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden" });
    area.value = text;
    near.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    near.focus();
  }
}
