// Asks in each page as a person would, and prints what the pages then show: `pages` has pairs of an address and an answer.
import { inBrowser } from "../chromium.mjs";

const { pages } = JSON.parse(process.argv[3]);

const shown = await inBrowser(async (page) => {
  const texts = [];
  for (const [url, answer] of pages) {
    await page.goto(url);
    const field = page.getByRole("textbox").first();
    await field.fill("Is it open today?");
    await field.press("Enter");
    await page.getByText(answer).first().waitFor();
    texts.push(await page.locator("body").innerText());
  }
  return texts;
});
process.stdout.write(JSON.stringify(shown));
