// What all panels with a form have in common: running, stopping, and saying what went wrong.

import { h } from "./dom.js";

/** Connect a panel. `run` gets an AbortSignal; `draft` returns the call that would be sent, for the wire. */
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

  /** Say what went wrong, in the server's own words. */
  fail(error) {
    const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
    this.#show("danger", `${error.message}${wait}`);
  }

  /** Count down until a request is sent again. */
  retrying({ type, after }) {
    if (type === "offline") return this.#show("warn", "There is no network. It goes on when it is back.");
    const end = Date.now() + after * 1000;
    const left = h("span", { ariaHidden: "true" }); // read aloud once, not each second
    const tick = () => {
      const seconds = Math.ceil((end - Date.now()) / 1000);
      left.textContent = ` ${seconds} s`;
      if (seconds <= 0) this.hide();
    };
    this.#show("warn", "The server asks to wait. Trying again in", left);
    this.#ticking = setInterval(tick, 250);
    tick();
  }

  #show(kind, ...words) {
    this.hide();
    this.problem.className = `problem notice ${kind}`;
    this.problem.replaceChildren(...words);
    this.problem.hidden = false;
  }

  /** Take back what was said. */
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
