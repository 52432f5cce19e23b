// The pages that hold the element: of another origin than the server, under a strict policy.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const MANUAL = readFileSync(new URL("../../../docs/component.md", import.meta.url), "utf8");
const POLICY = /^Content-Security-Policy: (.*)$/m.exec(MANUAL)[1]; // the one that the manual says is enough

export const STYLES = {
  shop: `:root { color-scheme: light dark; } body { max-width: 720px; margin: 0 auto; padding: 16px; font: 16px system-ui; background: light-dark(#f6f6f4, #15171a); color: light-dark(#222, #eee); } h1 { font-size: 24px; margin: 0 0 16px }`,
  plain: "body { margin: 0; padding: 16px; font: 16px system-ui; } .boxed { transform: scale(1); overflow: hidden; }",
  hostile: `* { color: lime !important; background: fuchsia !important; font: 40px/5 cursive !important; letter-spacing: 1em !important;
    text-transform: uppercase !important; display: inline !important; float: right !important; visibility: hidden !important;
    box-sizing: content-box !important; transform: rotate(2deg) !important; animation: x 1s infinite !important; pointer-events: none !important }
    button, textarea, h2 { all: unset !important } :root { visibility: hidden }`,
};

export class Pages {
  reports = [];
  asked = [];
  #pages = new Map();
  token = null;
  proxy = ""; // another way to the server

  async listen(port, server) {
    Object.assign(this, { url: `http://127.0.0.1:${port}`, server });
    this.http = createServer((request, response) => this.#answer(request, response));
    await new Promise((resolve) => this.http.listen(port, "127.0.0.1", resolve));
  }

  /** Adds a page, and returns its address. */
  add(name, { tag = "<gatehouse-chat></gatehouse-chat>", style = "plain", html = 'lang="en"', script = "" } = {}) {
    const body = `<!doctype html><html ${html}><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>A page</title>
      <link rel="icon" href="data:,"><link rel="stylesheet" href="/${style}.css"><script type="module" src="${this.server}/static/gatehouse-chat.js"></script>
      <script type="module" src="/${name}.js"></script></head><body><main><h1>A page</h1>${tag}</main></body></html>`;
    this.#pages.set(`/${name}`, ["text/html; charset=utf-8", body]);
    this.#pages.set(`/${name}.js`, ["text/javascript", script]);
    return `${this.url}/${name}`;
  }

  #answer(request, response) {
    const { pathname } = new URL(request.url, this.url);
    if (pathname === "/reports") {
      request.on("data", (data) => this.reports.push(String(data)));
      return request.on("end", () => response.writeHead(204).end());
    }
    if (pathname === "/token") {
      this.asked.push(request.headers);
      return response.writeHead(this.token ? 200 : 403, { "Content-Type": "application/json" }).end(JSON.stringify(this.token ?? {}));
    }
    const style = STYLES[/^\/(\w+)\.css$/.exec(pathname)?.[1]];
    const [type, body] = style ? ["text/css", style] : (this.#pages.get(pathname) ?? ["text/plain", ""]);
    const policy = POLICY.replaceAll("https://ai.example.com", this.server).replace("script-src", "script-src 'self'").replace("connect-src", `connect-src ${this.proxy}`);
    const headers = { "Content-Type": type, "Content-Security-Policy": `${policy}; trusted-types 'none'; img-src data:; report-uri /reports` };
    response.writeHead(200, headers).end(body);
  }
}
