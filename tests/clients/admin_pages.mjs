// Opens the pages of administration and of usage as a person does: by the link, with and without scripts.
// Prints what went wrong as JSON: faults that axe-core finds, reports of the Content-Security-Policy, errors.
// node admin_pages.mjs LOGIN_URL KEY [FOLDER FOR PICTURES]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { inBrowser } from "./chromium.mjs";

const [loginUrl, key, pictures] = process.argv.slice(2);
const origin = new URL(loginUrl).origin;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const IN_DOCS = new Set(["usage-desk-light", "limits-desk-light"]);
const faults = [];
const seen = {};

async function check(page, name) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) faults.push(`${name}: ${wide} px too wide`);
  // Chromium runs what a debugger evaluates without regard to the page's policy.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const fault of found.violations)
    faults.push(`${name}: ${fault.id}: ${fault.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
}

async function show(page, path, name) {
  await page.goto(origin + path);
  for (const [size, width, theme] of [["desk", 1280, "light"], ["phone", 390, "dark"], ["desk", 1280, "dark"], ["phone", 390, "light"]]) {
    const full = `${name}-${size}-${theme}`;
    const isDrawn = pictures && (process.env.ALL || IN_DOCS.has(full));
    if (!pictures && theme !== (size === "desk" ? "light" : "dark")) continue; // two of the four are enough to find faults
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: theme });
    await check(page, full);
    if (isDrawn) await page.screenshot({ path: `${pictures}/${full}.png` });
  }
}

function listen(page) {
  page.on("console", (message) => {
    // A browser logs each answer that is an error; here those are meant.
    if (message.type() === "error" && !/status of 40[01]/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
}

await inBrowser(async (page, context) => {
  listen(page);
  await show(page, "/admin", "without-session");
  await page.goto(loginUrl);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${origin}/admin`);
  const cookie = (await context.cookies()).find((each) => each.name.endsWith("gatehouse-admin"));
  seen.cookie = { httpOnly: cookie.httpOnly, sameSite: cookie.sameSite };
  await show(page, "/admin", "live");
  seen.refreshed = await page.evaluate(async () => {
    const before = document.querySelector("#board p").textContent;
    document.querySelector("#board p").textContent = "old";
    for (let tries = 0; tries < 100; tries++) {
      await new Promise((wake) => setTimeout(wake, 100));
      if (document.querySelector("#board p").textContent !== "old") return true;
    }
    return before;
  });

  await page.goto(`${origin}/admin/keys`);
  await page.getByLabel("Name").fill("shop");
  await page.getByRole("button", { name: "Create" }).click();
  seen.created = await page.locator("#new-key").textContent();
  await page.setViewportSize({ width: 390, height: 900 });
  seen.isCut = await page.locator("pre:has(#new-key)").evaluate((box) => box.scrollWidth > box.clientWidth);
  await page.goto(`${origin}/admin/keys`);
  seen.keyIsGone = !(await page.content()).includes(seen.created);
  await show(page, "/admin/keys", "keys");

  await page.goto(`${origin}/admin/limits`);
  await page.getByLabel(/^Id/).fill("ada");
  await page.getByLabel("Requests").fill("sixty");
  await page.getByRole("button", { name: "Set", exact: true }).click();
  seen.fault = await page.getByRole("alert").textContent();
  seen.invalid = await page.locator("[aria-invalid=true]").getAttribute("name");
  await page.getByLabel("Requests").fill("60/minute");
  await page.getByLabel("Budget in USD").fill("0");
  await page.getByRole("button", { name: "Set", exact: true }).click();
  seen.done = await page.getByRole("status").textContent();
  await show(page, "/admin/limits", "limits");
  await show(page, "/admin/audit", "changes");
  seen.width = await page.locator("td.list").first().evaluate((cell) => cell.clientWidth);
  await show(page, "/usage", "usage");
  seen.free = await page.getByText("Nothing was charged.").count();
  await show(page, "/usage?days=365", "usage-of-a-year");
  seen.bars = await page.locator("svg.chart rect").count();

  await page.goto(`${origin}/admin`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${origin}/admin`);
  seen.signedOut = (await page.content()).includes("flask admin login-url");
  await page.goto(loginUrl);
  await page.getByRole("button", { name: "Sign in" }).click();
  seen.usedLink = await page.getByRole("alert").textContent();
});

await inBrowser(async (_, opened) => {
  const context = await opened.browser().newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  listen(page);
  await page.goto(`${origin}/usage`);
  await page.getByLabel("Key or token").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  seen.ofKey = await page.getByText(/^of /).first().textContent();
  seen.keyInPage = (await page.content()).includes(key);
  await page.getByRole("button", { name: "Sign out" }).click();
  seen.keySignedOut = await page.getByLabel("Key or token").count();
});

console.log(JSON.stringify({ faults, seen }));
