// Debian's Chromium, driven by playwright-core.
import { chromium } from "playwright-core";

/** Run `use(page, context)` in a new browser. What the page logs as an error goes to stderr. */
export async function inBrowser(use) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(error));
    return await use(page, context);
  } finally {
    await browser.close();
  }
}
