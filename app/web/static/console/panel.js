// The common behaviour of panels with a form: run, stop, and show errors.

import { h } from "./dom.js";

/** A panel. `run` is called with an AbortSignal; `draft` returns the current request, for the wire pane. */
export class Panel {
  #ticking;

  constructor(element, run, draft) {
    this.element = element;
    this.draft = draft;
    this.form = element.querySelector("form");
    this.problem = element.querySelector(".problem");
    this.button = element.querySelector("button.primary");
    this.stop = element.querySelector("button.stop");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#run(run);
    });
    this.stop?.addEventListener("click", () => this.controller?.abort());
  }

  async #run(run) {
    this.controller = new AbortController();
    this.#setBusy(true);
    this.hide();
    try {
      await run(this.controller.signal);
    } catch (error) {
      if (this.controller.signal.aborted) this.hide();
      else this.fail(error);
    } finally {
      this.#setBusy(false);
    }
  }

  /** Show an error with the server's message. */
  fail(error) {
    const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
    this.#show("danger", `${error.message}${wait}`);
  }

  /** Count down until a request is retried. */
  retrying({ type, after }) {
    if (type === "offline") return this.#show("warn", "You are offline. The request continues when you are online again.");
    const end = Date.now() + after * 1000;
    const left = h("span", { ariaHidden: "true" }); // announced once, not each second
    const tick = () => {
      const seconds = Math.ceil((end - Date.now()) / 1000);
      left.textContent = ` ${seconds} s`;
      if (seconds <= 0) this.hide();
    };
    this.#show("warn", "The server is busy. Retrying in", left);
    this.#ticking = setInterval(tick, 250);
    tick();
  }

  #show(kind, ...words) {
    this.hide();
    this.problem.className = `problem notice ${kind}`;
    this.problem.replaceChildren(...words);
    this.problem.hidden = false;
  }

  /** Hide the message. */
  hide() {
    clearInterval(this.#ticking);
    this.problem.hidden = true;
  }

  #setBusy(isBusy) {
    this.button.disabled = isBusy;
    if (this.stop) this.stop.hidden = !isBusy;
    this.element.ariaBusy = String(isBusy);
  }
}
