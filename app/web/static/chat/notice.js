// The notice above the composer: an error or a wait, with a countdown and buttons.

import { h, iconButton } from "./dom.js";

const CALM = new Set(["wait", "offline", "busy", "budget", "network", "fileKind", "fileSize", "fileBad", "fileCount"]);

export class Notice {
  element = h("div", { part: "notice", hidden: true });
  #context;
  #timer;
  #shown;

  /** @param context `{text, language, again, dismiss, say}` */
  constructor(context) {
    this.#context = context;
  }

  update(notice, isBusy) {
    const { text, again, dismiss, say } = this.#context;
    if (notice === this.#shown) return;
    this.#shown = notice;
    clearInterval(this.#timer);
    this.element.hidden = !notice;
    if (!notice) return;
    const words = h("p", { dir: "auto" });
    const retry = !isBusy && notice.canRetry && h("button", { type: "button", part: "button retry", click: again }, text("retry"));
    const close = (!isBusy || notice.values) && iconButton("close", text("dismiss"), "dismiss", dismiss);
    this.element.className = CALM.has(notice.kind) ? "notice calm" : "notice";
    this.element.replaceChildren(words, ...[retry, close].filter(Boolean));
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((notice.until - Date.now()) / 1000));
      words.textContent = this.#describe(notice, seconds);
      if (retry) retry.disabled = seconds > 0;
      if (!(seconds > 0)) clearInterval(this.#timer);
    };
    if (notice.until) this.#timer = setInterval(tick, 250);
    tick();
    say(words.textContent);
  }

  close() {
    clearInterval(this.#timer);
  }

  #describe({ kind, until, canRetry, detail, requestId, values }, seconds) {
    const { text, language } = this.#context;
    if (kind === "wait" && seconds) {
      const [count, unit] = seconds < 120 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
      const time = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(count);
      return text(canRetry ? "retryIn" : "wait", { time });
    }
    if (kind === "wait") kind = "busy"; // the countdown is over
    if (kind === "budget" && until) {
      const time = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "numeric", minute: "numeric" }).format(until);
      return text("budgetUntil", { time });
    }
    return [text(kind, values), detail, kind === "failed" && requestId && text("reference", { id: requestId })].filter(Boolean).join(" ");
  }
}
