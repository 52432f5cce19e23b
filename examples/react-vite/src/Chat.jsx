import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { Gatehouse } from "gatehouse";

const url = import.meta.env.VITE_GATEHOUSE_URL ?? "http://127.0.0.1:8000";
// Fetches and renews the visitor's token. For visitors without one, leave out `token` here and `headers` below.
const gatehouse = new Gatehouse({ url, token: () => fetch("/gatehouse-token") });
const transport = new DefaultChatTransport({
  api: `${url}/api/chat`,
  headers: async () => ({ Authorization: `Bearer ${await gatehouse.getToken()}` }),
});

export default function Chat() {
  const { messages, sendMessage, stop, status, error } = useChat({ transport });
  const isAnswering = status === "submitted" || status === "streaming";
  const submit = (event) => {
    event.preventDefault();
    if (isAnswering) return;
    sendMessage({ text: event.target.elements.text.value });
    event.target.reset();
  };
  return (
    <main>
      <div aria-live="polite">
        {messages.map(({ id, role, parts }) => (
          <p key={id} style={{ whiteSpace: "pre-wrap" }}>
            <b>{role === "user" ? "You" : "AI"}:</b> {parts.map((part) => (part.type === "text" ? part.text : ""))}
          </p>
        ))}
      </div>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={submit}>
        <input name="text" aria-label="Message" required autoComplete="off" />
        {isAnswering ? <button type="button" onClick={stop}>Stop</button> : <button>Send</button>}
      </form>
    </main>
  );
}
