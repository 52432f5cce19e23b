// Pages of an allowed origin and of another one use gatehouse.js. Prints what they saw.
import { writeFile } from "node:fs/promises";
import { inBrowser } from "../chromium.mjs";
import { startProxy } from "./proxy.mjs";

const [base, given] = process.argv.slice(2);
const { allowed, foreign, ready } = JSON.parse(given);

/** Ask in a page; the module is loaded from `from`. The events, and the error that ends them, are in `window.seen`. */
async function ask([base, from]) {
  globalThis.seen = [];
  try {
    const { Gatehouse } = await import(`${from}/static/gatehouse.js`);
    globalThis.stream = new Gatehouse({ url: base, token: () => fetch("/gatehouse-token") }).streamChat("Hi");
    for await (const event of globalThis.stream) globalThis.seen.push(event);
  } catch ({ name, message, code }) {
    globalThis.seen.push({ type: "failed", name, message, code });
  }
}

const seenIn = (page) => page.evaluate(() => globalThis.seen);
const waitFor = (page, type) => page.waitForFunction((type) => globalThis.seen?.some((event) => event.type === type), type);

const result = await inBrowser(async (page, context) => {
  const seen = {};
  await page.goto(allowed);
  await page.evaluate(ask, [base, base]);
  seen.allowed = await seenIn(page);

  const proxy = await startProxy(base); // Chromium only pretends to be offline: open connections stay
  const asking = page.evaluate(ask, [proxy.url, base]);
  await waitFor(page, "token");
  await context.setOffline(true);
  proxy.breakAll();
  await waitFor(page, "offline");
  await writeFile(ready, "");
  await context.setOffline(false);
  await asking;
  seen.afterOffline = await seenIn(page);

  const stopping = page.evaluate(ask, [base, base]);
  await waitFor(page, "token");
  await page.evaluate(() => globalThis.stream.stop());
  await stopping;
  seen.stopped = await seenIn(page);

  await page.goto(foreign);
  await page.evaluate(ask, [base, base]);
  seen.foreignImport = await seenIn(page);
  await page.evaluate(ask, [base, foreign]);
  seen.foreignCall = await seenIn(page);
  return seen;
});
process.stdout.write(JSON.stringify(result), () => process.exit(0));
