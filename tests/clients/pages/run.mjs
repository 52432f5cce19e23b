// Runs the scenarios of console.mjs in one browser, each in a page of its own, and prints {name: error or null}.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import * as scenarios from "./console.mjs";
import { drawPictures } from "./pictures.mjs";

const PATIENCE_MS = 15_000;
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { server, key, pictures, python } = JSON.parse(process.argv[2]);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const results = {};

if (pictures) results.pictures = await attempt((tools) => drawPictures(tools, pictures));
else for (const [name, scenario] of Object.entries(scenarios)) results[name] = await attempt(scenario);
await browser.close();
process.stdout.write(JSON.stringify(results));

async function attempt(scenario) {
  const contexts = [];
  const problems = [];
  const open = async (path = "/", options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    contexts.push(context);
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => problems.push(`error: ${error.stack}`));
    // A browser says here what a page's policy forbids. An answer that is an error is none of the page's.
    page.on("console", (message) => message.type() === "error" && !/Failed to load resource/.test(message.text()) && problems.push(message.text()));
    await page.goto(server + path);
    if (path.split("?")[0] === "/" && options.javaScriptEnabled !== false) await page.waitForSelector("gatehouse-chat:defined");
    return page;
  };
  try {
    await scenario({ open, checkAccess, server, problems, python, key });
    assert.deepEqual(problems, []);
    return null;
  } catch (error) {
    return `${error.stack}\n${problems.join("\n")}`;
  } finally {
    for (const context of contexts) await context.close();
  }
}

/** Check a page with axe-core: no fault, in no state. */
async function checkAccess(page, state) {
  // Evaluated by the debugger, which a page's policy does not bind.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${state}: ${id}: ${nodes.map(({ html }) => html.slice(0, 200))}`), []);
}
