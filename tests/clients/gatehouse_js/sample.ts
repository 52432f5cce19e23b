// What a program may write with gatehouse.d.ts, and what not. It is only checked, never run.
import { Gatehouse, GatehouseError, type ChatEvent, type Message } from "gatehouse";
import type { GatehouseChat } from "gatehouse/chat";

const g = new Gatehouse({ url: "https://ai.example.com", token: () => fetch("/gatehouse-token") });
new Gatehouse();
new Gatehouse({ token: "eyJ", headers: { "X-Tag": "1" }, fetch });
new Gatehouse({ token: async () => ({ token: "eyJ", expiresAt: "2026-11-20T18:15:00Z" }) });
new Gatehouse({ token: () => null });

export async function everyCall(signal: AbortSignal, photo: File): Promise<string> {
  const messages: Message[] = [{ role: "system", content: "Be brief." }];
  messages.push({ role: "user", content: [{ type: "text", text: "Hi" }, { type: "image_url", image_url: { url: "https://x" } }] });
  const answer = await g.chat(messages, { signal, maxTokens: 50, onRetrying: (event) => console.log(event.type) });
  messages.push({ role: "assistant", ...answer }); // each answer is valid history
  const vision = await g.vision("What?", [photo], { detail: "low" });
  await g.vision("What?", document.querySelector("input")!.files!);
  const { embeddings } = await g.embed(["a"], { dimensions: 3 });
  const { similarity } = await g.similarity("a", "b");
  const { results } = await g.similarity("q", ["a", "b"], { topK: 1 });
  const { data } = await g.structured<{ name: string }>("Anna", { schema: { type: "object" } });
  const { limits } = await g.usage({ by: "day", from: "2026-11-01" });
  const numbers: number = embeddings[0]![0]! + similarity + results[0]!.index + (limits[0]?.leftTokens ?? 0);
  return answer.reply + vision.reply + data.name + numbers;
}

export async function streams(onEvent: (event: ChatEvent) => void): Promise<void> {
  const stream = g.streamChat("Hi", { retries: 3, onResponse: ({ headers }) => headers.get("X-Model") });
  try {
    for await (const event of stream) {
      onEvent(event);
      if (event.type === "token") console.log(event.token.length);
      else if (event.type === "retrying") console.log(event.after.toFixed());
      else if (event.type === "done") console.log(event.finishReason, event.usage?.total_tokens, event.toolCalls?.[0]?.id);
    }
  } catch (error) {
    if (error instanceof GatehouseError && error.retryAfter !== null) console.log(error.code, error.retryAfter.toFixed());
  }
  for await (const { token } of g.streamChat("Hi")) document.body.append(token ?? "");
  for await (const { type, token, after } of g.streamVision("What?", ["https://x"])) {
    if (type === "token") document.body.append(token.trim());
    else if (type === "retrying") document.title = after.toFixed();
  }
  for await (const { partial, after } of g.streamStructured("Anna")) console.log(partial, after?.toFixed());
  await stream.stop();
  const id: string | null = stream.streamId;
  if (id) for await (const event of g.resumeStream(id, { lastEventId: stream.lastEventId })) onEvent(event);
  for await (const event of g.streamStructured<{ name: string }>("Anna", { schemaName: "contact" })) {
    if (event.type === "done") console.log(event.data.name);
  }
}

export function askIn(chat: GatehouseChat): Promise<void> | undefined {
  chat.token = () => fetch("/gatehouse-token");
  return chat.send("Hi");
}

// @ts-expect-error there is no such field
void g.chat("Hi", { max_tokens: 5 });
// @ts-expect-error a token has no number
new Gatehouse({ token: 5 });
// @ts-expect-error the id is the server's to give
g.streamChat("Hi").streamId = "x";
