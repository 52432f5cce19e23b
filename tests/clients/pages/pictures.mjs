// Draws the pages into a folder: those that docs/pictures has, or with ALL=1 every one, to look at.

const IN_DOCS = new Set(["console-desk-light", "console-desk-dark", "console-phone-light", "structured-desk-light", "answer-phone-dark"]);
const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

export async function drawPictures({ open }, folder) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const options = { viewport, colorScheme };
      const shot = async (page, name) => {
        const full = `${name}-${size}-${colorScheme}`;
        if (process.env.ALL || IN_DOCS.has(full)) await page.screenshot({ path: `${folder}/${full}.png`, animations: "disabled" });
      };
      const page = await open("/", options);
      await shot(page, "empty");
      await page.locator("gatehouse-chat [part=input]").fill("Show me a table");
      await page.locator("gatehouse-chat [part=input]").press("Enter");
      await page.getByText("$0.000000").waitFor();
      await shot(page, "console");
      const structured = await open("/#structured", options);
      await structured.click("#structured button.primary");
      await structured.getByText("$0.000000").waitFor();
      await shot(structured, "structured");
      const embeddings = await open("/#embeddings", options);
      await embeddings.click("#embeddings button.primary");
      await embeddings.locator(".bars li").first().waitFor();
      await shot(embeddings, "embeddings");
      const batch = await open("/#batch", options);
      await shot(batch, "batch");
      const plain = await open("/", { ...options, javaScriptEnabled: false });
      await shot(plain, "plain");
      await plain.fill("#message", "A table and a list in Markdown");
      await plain.click("#chat button.primary");
      await plain.locator(".prose").waitFor();
      await shot(plain, "answer");
      await shot(await open("/nothing", options), "error");
      await shot(await open("/docs", options), "docs");
    }
  }
}
