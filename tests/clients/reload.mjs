// useChat({ resume: true }) of one version of the AI SDK: a page is left amid an answer and loaded again.
// It prints the messages of the second page, and writes `options.ready` as soon as that has the answer's first words.
import { writeFile } from "node:fs/promises";
import { finish, options, renderHook, until } from "./page.mjs";

const { useChat } = await import(`react-ai${options.version}`);
const textOf = (page) => page.current?.messages.at(-1)?.parts.find((part) => part.type === "text")?.text;

const left = renderHook(() => useChat({ id: "chat-1" }));
await until(() => left.current, "the page is rendered");
void left.current.sendMessage({ text: "Hi" });
await until(() => textOf(left) === options.first, "the first words");
await left.current.stop(); // closes the connection, as a reload does

const loaded = renderHook(() => useChat({ id: "chat-1", resume: true }));
await until(() => textOf(loaded) === options.first, "the answer goes on");
await writeFile(options.ready, "");
await until(() => loaded.current.status === "ready", "the answer is complete");
finish({ messages: loaded.current.messages, error: loaded.current.error?.message });
