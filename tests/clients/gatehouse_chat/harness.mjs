// One Chromium for all scenarios, each with a page of its own.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";
import { chromium } from "playwright-core";
import { Pages } from "./pages.mjs";
import { Upstream } from "./upstream.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PATIENCE_MS = 15_000;

export class Harness {
  #shared = null;
  #own = null;
  upstream = new Upstream();
  pages = new Pages();

  static async start({ server, upstreamPort, pagePort }) {
    const harness = new Harness();
    harness.server = server;
    await harness.upstream.listen(upstreamPort);
    await harness.pages.listen(pagePort, server);
    harness.browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    return harness;
  }

  async close() {
    await this.browser.close();
    for (const server of [this.upstream.server, this.pages.http]) server.close(), server.closeAllConnections();
  }

  /** Opens a page with the element, and returns it with short ways to what is in the element. */
  async open(name, { context, ready = true, ...page } = {}) {
    const address = this.pages.add(name, page);
    // A tab of its own has a sessionStorage of its own; what is loaded by all of them is loaded once.
    const place = context ? (this.#own = await this.#createContext(context)) : (this.#shared ??= await this.#createContext());
    const view = (this.view = new View(await place.newPage()));
    await view.page.goto(address);
    if (ready) await view.input.waitFor({ state: "attached" });
    return view;
  }

  async #createContext(options) {
    const context = await this.browser.newContext({ viewport: { width: 800, height: 800 }, ...options });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: this.pages.url });
    return context;
  }

  /** Closes the page that was opened last, once the upstream has its requests: one of them would get the answer for the next page. */
  async leave() {
    const until = performance.now() + PATIENCE_MS;
    while (this.view?.unanswered.size > this.upstream.running && performance.now() < until) await setTimeout(5);
    await this.view?.page.close();
    await this.#own?.close();
    this.view = this.#own = null;
  }
}

export class View {
  problems = [];
  /** The requests of the page that have no answer yet. */
  unanswered = new Set();

  constructor(page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("dialog", (dialog) => this.problems.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    page.on("pageerror", (error) => this.problems.push(`error: ${error.stack}`));
    page.on("console", (message) => message.type() === "error" && !/Failed to load resource/.test(message.text()) && this.problems.push(message.text()));
    page.on("request", (request) => request.method() === "POST" && this.unanswered.add(request));
    for (const end of ["response", "requestfailed"]) page.on(end, (ended) => this.unanswered.delete(ended.request?.() ?? ended));
    this.chat = page.locator("gatehouse-chat");
    this.input = this.chat.locator("textarea");
    this.answers = this.chat.locator("article:not(.user)");
    this.asked = this.chat.locator("article.user");
    this.notice = this.chat.locator("[part=notice]");
  }

  button(name) {
    return this.chat.getByRole("button", { name });
  }

  async say(text) {
    await this.input.fill(text);
    await this.input.press("Enter");
  }

  /** Waits until the element is in a state: its own, or the kind of its notice. */
  async state(name) {
    await this.page.locator(`gatehouse-chat[state=${name}]`).waitFor({ state: "attached" });
  }

  async lastAnswer(text) {
    await this.answers.last().getByText(text).first().waitFor();
    return this.answers.last();
  }

  /** The faults that axe finds in the page as it stands. */
  async faults() {
    await this.page.evaluate(await (View.axe ??= readFile(AXE, "utf8")));
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, any, all }) => `${target.join(" ")} ${[...any, ...all].map(({ message }) => message)}`).join("; ")}`);
  }
}
