// Shows a component of the documents, presses its button, and prints what the page then says.
import { build } from "esbuild";
import { mkdir } from "node:fs/promises";
import { finish, options, render, until } from "./page.mjs";

const folder = new URL("./node_modules/.built/", import.meta.url);
await mkdir(folder, { recursive: true });
const outfile = new URL(`${options.name}-${options.version}-${process.pid}.mjs`, folder).pathname;
await build({
  stdin: { contents: options.source, loader: "jsx", resolveDir: import.meta.dirname },
  alias: { "@ai-sdk/react": `react-ai${options.version}` },
  bundle: true,
  external: ["react", "react-dom"],
  format: "esm",
  jsx: "automatic",
  outfile,
  platform: "node",
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
});

const element = render((await import(outfile)).default);
const query = (selector) => element.querySelector(selector);
await until(() => query("button"), "the page is rendered");
if (query("input")) query("input").value = "Hello";
query("button").click();
await until(() => element.textContent.includes(options.expects), `the page says ${options.expects}: ${element.textContent}`);
finish(element.textContent);
