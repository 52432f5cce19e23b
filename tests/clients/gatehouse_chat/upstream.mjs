// A stand-in for OpenAI that says what a scenario has it say, as slowly as that wants.
import { createServer } from "node:http";

export class Upstream {
  #answers = [];
  received = [];
  /** How many answers have begun and not ended. */
  running = 0;

  async listen(port) {
    this.server = createServer((request, response) => void this.#answer(request, response));
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
  }

  /** Queues an answer that is streamed at once. */
  says(...pieces) {
    this.#answers.push({ pieces, finishReason: "stop" });
  }

  ends(finishReason, ...pieces) {
    this.#answers.push({ pieces, finishReason });
  }

  /** Queues an answer that waits: `release()` lets the next pieces through, `left` is settled when the reader has gone. */
  holds(...pieces) {
    const answer = { pieces, finishReason: "stop", waiting: [], released: 0 };
    answer.left = new Promise((resolve) => (answer.leave = resolve));
    answer.release = (count = Infinity) => {
      answer.released += count;
      for (const go of answer.waiting.splice(0)) go();
    };
    this.#answers.push(answer);
    return answer;
  }

  fails(status, code, headers = {}) {
    this.#answers.push({ status, body: { error: { message: "No.", type: code, code } }, headers });
  }

  forget() {
    this.#answers.length = this.received.length = 0;
  }

  async #answer(request, response) {
    let text = "";
    for await (const chunk of request) text += chunk;
    if (!request.url.endsWith("/chat/completions")) return response.writeHead(404).end("{}");
    this.received.push(JSON.parse(text));
    const answer = this.#answers.shift() ?? { pieces: ["Hello."], finishReason: "stop" };
    if (answer.status) {
      response.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers });
      return response.end(JSON.stringify(answer.body));
    }
    this.running++;
    response.on("close", () => {
      this.running--;
      answer.leave?.();
    });
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    for (const [at, content] of answer.pieces.entries()) {
      while (answer.waiting && at >= answer.released) await new Promise((resolve) => answer.waiting.push(resolve));
      response.write(event({ content }));
    }
    response.end(`${event({}, answer.finishReason)}data: [DONE]\n\n`);
  }
}

function event(delta, finish_reason = null) {
  const choices = [{ index: 0, delta, finish_reason }];
  return `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "gpt-6.1-terra", choices })}\n\n`;
}
