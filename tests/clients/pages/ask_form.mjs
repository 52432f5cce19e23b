// A site's page with one form and no scripts at all, on an allowed origin and on another one. Prints what visitors saw.
import { chromium } from "playwright-core";

const { allowed, foreign } = JSON.parse(process.argv[2]);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const context = await browser.newContext({ javaScriptEnabled: false });
const page = await context.newPage();
const asked = [];
page.on("request", (request) => asked.push(request.url()));
const seen = {};

async function ask(question) {
  await page.fill("textarea", question);
  await Promise.all([page.waitForNavigation(), page.getByRole("button").click()]);
}

await page.goto(allowed);
await ask("First?");
seen.html = await page.locator(".turn .prose").innerHTML();
seen.link = await page.getByRole("link", { name: "Back to" }).getAttribute("href");
await ask("Second?");
seen.turns = await page.locator(".turn > :not(h2)").allTextContents();
await page.reload();
seen.afterReload = await page.locator(".turn").count();

await page.goto(`${allowed}/frame.html`);
await page.fill("textarea", "In a frame?");
await page.getByRole("button").click();
const frame = page.frameLocator("iframe");
await frame.locator(".prose").waitFor();
seen.framed = await frame.locator(".turn.visitor").textContent();

const answer = page.waitForResponse(/embed\/ask/);
await page.goto(foreign);
await ask("From elsewhere?");
seen.foreign = [(await answer).status(), await page.locator("[role=alert]").textContent()];
seen.hosts = [...new Set(asked.map((url) => new URL(url).host))];
await browser.close();
console.log(JSON.stringify(seen));
