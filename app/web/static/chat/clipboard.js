// Copies a text; loaded at the first one.

import { h } from "./dom.js";

/** Copies a text, also where a page has no clipboard, as over plain HTTP. */
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
