// useChat() of one version of the AI SDK in Chromium, on a page of the server's own origin: an answer, a refusal, a stop,
// and a reload amid an answer. Prints what the page said each time; writes `options.ready` when the reloaded page goes on.
import { writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [base, given] = process.argv.slice(2);
const options = JSON.parse(given);

const { outputFiles } = await build({
  entryPoints: [new URL("./browser_chat.jsx", import.meta.url).pathname],
  alias: { "@ai-sdk/react": `react-ai${options.version}` },
  bundle: true,
  define: { "process.env.NODE_ENV": '"production"' },
  format: "iife",
  jsx: "automatic",
  write: false,
});
const script = `window.chatId = ${JSON.stringify(options.chatId)};\n${outputFiles[0].text}`;

const browser = await chromium.launch({ executablePath: options.chromium, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
page.setDefaultTimeout(20_000);
const faults = [];
page.on("pageerror", (error) => faults.push(error.message));
await page.route("**/chat-page", (route) =>
  route.fulfill({ contentType: "text/html; charset=utf-8", body: '<body><script src="/chat-page.js" defer></script>' }),
);
await page.route("**/chat-page.js", (route) => route.fulfill({ contentType: "text/javascript; charset=utf-8", body: script }));

const says = (text) => page.locator("li").last().filter({ hasText: text }).waitFor();
const is = (status) => page.locator("#status", { hasText: status }).waitFor();
const read = async () => ({
  texts: await page.locator("li").allTextContents(),
  error: await page.locator("#error").textContent(),
});

await page.goto(`${base}/chat-page`);
await is("ready");
await page.click("#send");
await says(options.answer);
await is("ready");
const answered = await read();

await page.click("#wrong");
await is("error");
const refused = await read();

await page.click("#send");
await says(options.stopped);
await page.click("#stop");
await is("ready");
const stopped = await read();

await page.click("#send");
await says(options.begun);
await page.reload();
await says(options.begun);
await writeFile(options.ready, "");
await is("ready");
const resumed = await read();

await browser.close();
process.stdout.write(JSON.stringify({ answered, refused, stopped, resumed, faults }));
