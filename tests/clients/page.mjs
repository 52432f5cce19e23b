// A page in Node: a document, React, and fetch of relative addresses as of the server's own pages.
import { Window } from "happy-dom";

export const [base, given = "{}", ...rest] = process.argv.slice(2);
export const options = JSON.parse(given);

const window = new Window({ url: `${base}/` });
Object.assign(globalThis, { window, document: window.document });
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });

const realFetch = globalThis.fetch;
globalThis.fetch = (address, init) => realFetch(new URL(address, base), init);

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");

/** Render a component, and return its element. */
export function render(component) {
  const element = document.body.appendChild(document.createElement("div"));
  createRoot(element).render(createElement(component));
  return element;
}

/** Render a component that only uses a hook, and return what gives the hook's last value. */
export function renderHook(useHook) {
  const rendered = {};
  render(() => {
    rendered.current = useHook();
    return null;
  });
  return rendered;
}

/** Wait until a condition is true. */
export async function until(condition, what) {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not within 20 s: ${what}`);
}

/** Print what came of it, and end: React and its window would keep the process. */
export function finish(result) {
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}
