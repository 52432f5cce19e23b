// Compiled by a test: what a page in TypeScript does with the element.
import { GatehouseChat } from "../../../app/web/static/gatehouse-chat.js";

const chat: GatehouseChat = document.createElement("gatehouse-chat");
chat.token = () => fetch("/gatehouse-token");
chat.fields = { maxTokens: 500 };
chat.addEventListener("gatehouse-error", ({ detail }) => console.warn(detail.code, detail.retryAfter));
chat.addEventListener("gatehouse-message", ({ detail }) => console.log(detail.role, detail.text.length));
await chat.send("Hello");
console.log(chat.messages.at(-1)?.status === "done", chat.isOpen);
// @ts-expect-error: there is no such method
chat.say("Hello");
