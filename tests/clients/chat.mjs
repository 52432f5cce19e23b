// useChat() of one version of the AI SDK: sends the texts one after the other, and prints the messages and the error.
import { finish, options, renderHook, until } from "./page.mjs";

const { useChat } = await import(`react-ai${options.version}`);

const isTool = (part) => part.type.startsWith("tool-") || part.type === "dynamic-tool";
const isAnswered = ({ messages }) => {
  const parts = messages.at(-1).parts;
  const step = parts.slice(parts.findLastIndex((part) => part.type === "step-start") + 1);
  const tools = step.filter((part) => isTool(part) && !part.providerExecuted);
  return tools.length > 0 && tools.every((part) => part.state.startsWith("output-"));
};

const ended = [];
const withTools = {
  sendAutomaticallyWhen: isAnswered,
  onToolCall({ toolCall }) {
    const { toolName, toolCallId, input } = toolCall;
    const add = page.current.addToolOutput ?? page.current.addToolResult;
    // Not awaited, as the documentation says: it would wait for this very call.
    void add({ tool: toolName, toolCallId, output: { heard: input } });
  },
};

const page = renderHook(() =>
  options.answersTools
    ? useChat({ ...withTools, onFinish: (end) => ended.push(end) })
    : useChat(),
);
await until(() => page.current, "the page is rendered");

for (const text of options.texts) {
  const { body, headers } = options;
  const sending = page.current.sendMessage({ text }, { body, headers });
  if (options.stopsAfter) {
    const written = () => page.current.messages.at(-1)?.parts.some((part) => part.text === options.stopsAfter);
    await until(written, "the first words");
    await page.current.stop();
  }
  await sending;
  if (options.answersTools) await until(() => ended.length === options.answers, "the answers to the tools");
  await until(() => ["ready", "error"].includes(page.current.status), "the answer is complete");
}

const { messages, status, error } = page.current;
finish({ messages, status, error: error?.message });
