// Writes a request as code: the same request with curl and fetch, an equivalent one with the AI SDK and OpenAI's libraries.

import { byId } from "./dom.js";
import { readSimulated } from "./settings.js";

const { model, embeddingModel, needsToken } = JSON.parse(byId("what").dataset.console);

/** @type {Record<string, (call: { path: string, body: any, form?: object }) => string>} */
const WRITERS = { curl: writeCurl, fetch: writeFetch, useChat: writeUseChat, "openai-python": writePython, "openai-node": writeNode };

export const LANGUAGES = Object.keys(WRITERS);

// OpenAI's names of our fields.
const OPENAI_NAMES = {
  maxTokens: "max_completion_tokens",
  topP: "top_p",
  reasoningEffort: "reasoning_effort",
  serviceTier: "service_tier",
  parallelToolCalls: "parallel_tool_calls",
  temperature: "temperature",
  verbosity: "verbosity",
  seed: "seed",
  stop: "stop",
};
const EXTRA = ["promptName", "variables"];
const OURS_ALONE = ["schemaName", "normalize", "serverTools"]; // cannot be left out without changing the answer
const MAX_TEXT = 300;
const MAX_ARGUMENT = 100_000; // the limit of a shell

/** Return a request as code to read; with `isWhole` as code to run, with complete texts and images. */
export function writeSnippet(language, call, { isWhole = false } = {}) {
  return WRITERS[language]({ ...call, body: isWhole ? call.body : shorten(call.body) });
}

function writeCurl({ path, body, form }) {
  const [type, ...others] = headerLines(path).map((line) => `-H ${line.includes(" $") ? `"${line}"` : quote(line)}`);
  const sent = form
    ? Object.entries(form).map(([name, value]) => `-F ${quote(`${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)}`)
    : [type, writeData(JSON.stringify(body, null, 2))];
  return [`curl -N ${location.origin}${path}`, ...others, ...sent].join(" \\\n  ");
}

function writeData(json) {
  return json.length > MAX_ARGUMENT ? `--data-binary @- <<'END'\n${json}\nEND` : `-d ${quote(json)}`;
}

/** Quote a text for a shell, without substitutions. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function writeFetch({ path, body }) {
  const headers = headerLines(path).map((line) => `    ${JSON.stringify(line.split(": ")[0])}: ${quoteHeader(line)},`);
  return [
    `const response = await fetch("${location.origin}${path}", {`,
    `  method: "POST",`,
    `  headers: {`,
    ...headers,
    `  },`,
    `  body: JSON.stringify(${indent(JSON.stringify(body, null, 2), "  ")}),`,
    `});`,
    path.endsWith("/stream") ? `for await (const chunk of response.body) console.log(new TextDecoder().decode(chunk));` : `console.log(await response.json());`,
  ].join("\n");
}

function writeUseChat({ path, body }) {
  if (!path.startsWith("/api/chat")) return "// useChat() supports conversations only: choose Chat.";
  const { messages = [], resumable, ...fields } = body;
  const more = Object.keys(fields).length ? `,\n    body: ${indent(JSON.stringify(fields, null, 2), "    ")}` : "";
  const token = needsToken ? `,\n    headers: async () => ({ Authorization: \`Bearer \${await getToken()}\` })` : extraHeaders(",\n    headers: ");
  return [
    `import { useChat } from "@ai-sdk/react";`,
    `import { DefaultChatTransport } from "ai";`,
    ``,
    `const { messages, sendMessage, status, stop } = useChat({`,
    `  transport: new DefaultChatTransport({`,
    `    api: "${location.origin}/api/chat"${token}${more},`,
    `  }),`,
    `});`,
    `sendMessage({ text: ${JSON.stringify(textOf(messages.at(-1)))} });`,
  ].join("\n");
}

function writePython(call) {
  const made = toOpenAI(call);
  if (!made) return "# OpenAI's library has another form for this: use curl or fetch.";
  const { method, fields, extra, isStream } = made;
  const all = { ...fields, ...(isStream && { stream: true }), ...(extra && { extra_body: extra }) };
  const given = Object.entries(all).map(([name, value]) => `    ${name}=${indent(toPython(value), "    ")},`);
  const head = [`from openai import OpenAI`, ``, `client = OpenAI(base_url="${location.origin}/v1", api_key=${needsToken ? "token" : '"anonymous"'}${extraHeaders(", default_headers=")})`];
  const read = isStream ? [`for chunk in answer:`, `    print(chunk.choices[0].delta.content or "", end="")`] : [`print(answer)`];
  return [...head, `answer = client.${method}(`, ...given, `)`, ...read].join("\n");
}

function writeNode(call) {
  const made = toOpenAI(call);
  if (!made) return "// OpenAI's library has another form for this: use curl or fetch.";
  const { method, fields, extra, isStream } = made;
  const all = { ...fields, ...extra, ...(isStream && { stream: true }) };
  const read = isStream ? [`for await (const chunk of answer) {`, `  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`, `}`] : [`console.log(answer);`];
  return [
    `import OpenAI from "openai";`,
    ``,
    `const client = new OpenAI({ baseURL: "${location.origin}/v1", apiKey: ${needsToken ? "token" : '"anonymous"'}${extraHeaders(", defaultHeaders: ")} });`,
    `const answer = await client.${method}(${JSON.stringify(all, null, 2)});`,
    ...read,
  ].join("\n");
}

/** Return a request for OpenAI's API; null if that has no such request or lacks a chosen setting. */
function toOpenAI({ path, body }) {
  if (path === "/api/embeddings/similarity") {
    return { method: "embeddings.create", fields: { model: body.model ?? embeddingModel, input: [body.query, ...body.documents] } };
  }
  const messages = body.messages ?? (body.prompt ? [{ role: "user", content: contentOf(body) }] : null);
  if (!messages || OURS_ALONE.some((name) => name in body)) return null;
  const system = body.systemPrompt ? [{ role: "system", content: body.systemPrompt }] : [];
  const fields = { model: body.model ?? model, messages: [...system, ...messages] };
  for (const [name, theirs] of Object.entries(OPENAI_NAMES)) if (name in body) fields[theirs] = body[name];
  if (body.schema) {
    fields.response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: body.schema } };
  }
  const extra = Object.fromEntries(EXTRA.filter((name) => name in body).map((name) => [name, body[name]]));
  return { method: "chat.completions.create", fields, extra: Object.keys(extra).length ? extra : null, isStream: path.endsWith("/stream") };
}

function contentOf({ prompt, images, imageUrl, detail }) {
  const urls = images ?? (imageUrl ? [imageUrl] : []);
  if (!urls.length) return prompt;
  return [{ type: "text", text: prompt }, ...urls.map((url) => ({ type: "image_url", image_url: { url, ...(detail && { detail }) } }))];
}

function headerLines(path) {
  const secret = path.startsWith("/api/batches") ? "KEY" : needsToken && "TOKEN"; // batches need a key
  const token = secret ? [`Authorization: Bearer $${secret}`] : [];
  const simulated = readSimulated() ? [`X-Simulate: ${readSimulated()}`] : [];
  return ["Content-Type: application/json", ...token, ...simulated];
}

/** Return the additional headers for a library as code; "" if there are none. */
function extraHeaders(before) {
  return readSimulated() ? `${before}{ "X-Simulate": "${readSimulated()}" }` : "";
}

function quoteHeader(line) {
  const value = line.split(": ")[1];
  return value.startsWith("Bearer $") ? `\`Bearer \${${value.slice("Bearer $".length).toLowerCase()}}\`` : JSON.stringify(value);
}

function textOf(message) {
  const content = message?.content ?? "Hello";
  return typeof content === "string" ? content : (content.find((part) => part.type === "text")?.text ?? "");
}

function toPython(value, depth = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${depth}    `;
  const items = Array.isArray(value)
    ? value.map((item) => `${deeper}${toPython(item, deeper)},`)
    : Object.entries(value).map(([name, item]) => `${deeper}${JSON.stringify(name)}: ${toPython(item, deeper)},`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return items.length ? `${open}\n${items.join("\n")}\n${depth}${close}` : open + close;
}

/** Shorten long texts, such as images, so that the code can be read. */
function shorten(value) {
  if (typeof value === "string") return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT / 2)}…` : value;
  if (Array.isArray(value)) return value.map(shorten);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shorten(item)]));
  return value;
}

const indent = (text, by) => text.replaceAll("\n", `\n${by}`);
