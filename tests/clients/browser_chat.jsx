// A page with useChat() and no more than its hook's own options: what it says is what the hook has.
import { useChat } from "@ai-sdk/react";
import { createRoot } from "react-dom/client";

function Chat() {
  const { messages, sendMessage, status, stop, error } = useChat({ id: window.chatId, resume: true });
  const texts = messages.map((message) => message.parts.map((part) => part.text ?? "").join(""));
  return (
    <main>
      <ol>{texts.map((text, place) => <li key={place}>{text}</li>)}</ol>
      <p id="status">{status}</p>
      <p id="error">{error?.message}</p>
      <button id="send" onClick={() => sendMessage({ text: "Hi" })}>Send</button>
      <button id="wrong" onClick={() => sendMessage({ text: "Hi" }, { body: { temperature: 3 } })}>Wrong</button>
      <button id="stop" onClick={() => stop()}>Stop</button>
    </main>
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(<Chat />);
