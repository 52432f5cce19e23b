// What all panels with a form have in common: running, stopping, and saying what went wrong.

/** Connect a panel. `run` gets an AbortSignal; `draft` returns the call that would be sent, for the wire. */
export class Panel {
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
    this.problem.hidden = true;
    try {
      await run(this.controller.signal);
    } catch (error) {
      if (!this.controller.signal.aborted) this.fail(error);
    } finally {
      this.#setBusy(false);
    }
  }

  /** Say what went wrong, in the server's own words. */
  fail(error) {
    const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
    this.problem.textContent = `${error.message}${wait}`;
    this.problem.hidden = false;
  }

  /** Show that a request waits to be sent again. */
  retrying({ type, after }) {
    this.problem.hidden = false;
    this.problem.textContent = type === "offline" ? "There is no network." : `The server asks to wait: trying again in ${Math.ceil(after)} s.`;
  }

  #setBusy(isBusy) {
    this.button.disabled = isBusy;
    if (this.stop) this.stop.hidden = !isBusy;
    this.element.ariaBusy = String(isBusy);
  }
}
