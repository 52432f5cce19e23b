// Runs all scenarios in one browser, and prints {name: error or null}.
import assert from "node:assert/strict";
import { Harness } from "./harness.mjs";

const { names, scripts, ...places } = JSON.parse(process.argv[2]);
const harness = await Harness.start(places);
const results = {};
for (const script of scripts) {
  for (const [name, scenario] of Object.entries(await import(`./${script}`))) {
    if (!name.includes("_") || (names && !names.includes(name))) continue;
    results[name] = await attempt(name, scenario);
  }
}
await harness.close();
process.stdout.write(JSON.stringify(results));

async function attempt(name, scenario) {
  const { upstream, pages } = harness;
  upstream.forget();
  pages.reports.length = pages.asked.length = 0;
  const view = {};
  const open = async (options) => Object.setPrototypeOf(view, await harness.open(name, options));
  const begun = performance.now();
  try {
    await scenario({ open, upstream, pages, view, harness, server: places.server, visitorToken: places.visitorToken });
    assert.deepEqual(view.problems ?? [], []);
    assert.deepEqual(pages.reports, [], "the policy of the page was broken");
    return null;
  } catch (error) {
    return [error.stack, await describe(view, upstream), ...(view.problems ?? [])].join("\n");
  } finally {
    await harness.leave();
    if (process.env.TIMES) console.error(Math.round(performance.now() - begun), name);
  }
}

/** Says in which state a scenario ended: a timeout alone tells nothing of its cause. */
async function describe(view, upstream) {
  const element = view.page?.locator("gatehouse-chat");
  const read = (found) => found?.catch((error) => error.message.split("\n")[0]);
  const state = await read(element?.getAttribute("state", { timeout: 1000 }));
  const notice = await read(element?.locator("[part=notice]").innerText({ timeout: 1000 }));
  return `state ${state}, notice ${JSON.stringify(notice)}, ${upstream.received.length} requests at the upstream`;
}
