// The frame around the messages: header, footer, and the launcher of a floating chat.

import { h, iconButton } from "./dom.js";

/** @param chat `{text, language, isFloating, isOpen, hasDisclosure, hasFiles, clear, toggle, onKey}`; @param views its parts */
export function createFrame({ text, language, isFloating, isOpen, hasDisclosure, hasFiles, ...chat }, { log, notice, composer, announcer }) {
  const slot = (name) => h("slot", { name }, h("bdi", {}, text(name))); // isolates the text's direction from the page's
  const title = h("div", {}, h("h2", { id: "title", part: "heading" }, slot("heading")), hasDisclosure && h("p", { class: "disclosure", part: "disclosure" }, slot("disclosure")));
  const clear = iconButton("clear", text("clear"), "clear", chat.clear);
  const close = isFloating && iconButton("close", text("close"), "close", chat.toggle);
  const latest = iconButton("down", text("latest"), "latest", () => log.scrollToEnd());
  latest.classList.add("latest");
  const allowance = h("p", { class: "allowance", part: "allowance", dir: "auto", hidden: true });
  const dropSign = h("div", { class: "dropping", part: "drop", hidden: true }, text("drop"));
  const panel = h(
    "section",
    { class: "panel", part: "panel", "aria-labelledby": "title", role: isFloating && "dialog", hidden: !isOpen, keydown: chat.onKey },
    h("header", { part: "header" }, title, clear, close),
    log.element,
    h("div", { class: "foot", part: "footer" }, latest, notice.element, composer.element, allowance),
    announcer.element,
    dropSign,
  );
  composer.acceptDrops(panel, dropSign);
  const launcher = isFloating && iconButton("chat", text(isOpen ? "close" : "open"), "launcher", chat.toggle);
  if (launcher) {
    launcher.classList.add("main", "launcher");
    launcher.setAttribute("aria-expanded", isOpen);
  }
  const root = h("div", { class: "root", part: "root", lang: language, popover: isFloating && "manual", "data-files": hasFiles }, panel, launcher);
  return { root, panel, launcher, clear, latest, allowance };
}
