// HttpAgent of @ag-ui/client, which verifies the order of the events: runs once for each text, and prints the messages.
import { HttpAgent } from "@ag-ui/client";

const [base, given] = process.argv.slice(2);
const { texts, run = {}, answersTools = false } = JSON.parse(given);

const agent = new HttpAgent({ url: `${base}/api/agui` });
const events = [];
const errors = [];
const subscriber = {
  onEvent: ({ event }) => void events.push(event),
  onRunFailed: ({ error }) => void errors.push(error.message),
};

let count = 0;
async function runAgent() {
  await agent.runAgent(run, subscriber).catch((error) => errors.push(error.message));
}
for (const text of texts) {
  agent.addMessage({ id: `user-${(count += 1)}`, role: "user", content: text });
  await runAgent();
  const pending = events.at(-1)?.outcome?.pendingToolCallIds ?? [];
  if (answersTools && pending.length) {
    for (const toolCallId of pending) {
      agent.addMessage({ id: `tool-${(count += 1)}`, role: "tool", toolCallId, content: "heard" });
    }
    await runAgent();
  }
}
process.stdout.write(JSON.stringify({ messages: agent.messages, events, errors: [...new Set(errors)] }));
