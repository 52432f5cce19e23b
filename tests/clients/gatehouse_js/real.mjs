// One use of gatehouse.js against a real server, named by `options.use`. Prints what came of it.
import { Gatehouse } from "../../../app/web/static/gatehouse.js";
import { startProxy } from "./proxy.mjs";

const [base, given] = process.argv.slice(2);
const options = JSON.parse(given);
const token = () => fetch(options.tokens);
const requests = [];
const tracked = (...request) => {
  requests.push(fetch(...request));
  return requests.at(-1);
};
const g = new Gatehouse({ url: base, token, fetch: tracked });

const uses = {
  async "every call"() {
    const png = Uint8Array.from(Buffer.from(options.png, "base64"));
    const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false };
    return {
      chat: await g.chat("Hi"),
      stream: await collect(g.streamChat([{ role: "user", content: "Hi" }], { maxTokens: 50 })),
      vision: await g.vision("What?", new Blob([png])),
      visionByUrl: await g.vision("What?", [`data:image/png;base64,${options.png}`], { detail: "low" }),
      streamVision: await collect(g.streamVision("What?", new Blob([png]))),
      structured: await collect(g.streamStructured("Anna", { schema })),
      embed: await g.embed("a"),
      usage: await g.usage({ by: "model" }),
    };
  },

  async errors() {
    const failures = [];
    for (const call of [
      () => g.chat("Hi", { temperature: 3 }),
      () => collect(g.streamChat("Hi", { maxTokens: 0 })),
      () => g.chat([]),
      () => g.chat("Hi", { max_tokens: 5 }),
      () => g.structured("Hi", { schema: { type: "array" } }),
      () => new Gatehouse({ url: base }).chat("Hi"),
      () => new Gatehouse({ url: "http://127.0.0.1:1" }).chat("Hi", { retries: 0 }),
    ]) {
      failures.push(await call().catch(({ ...told }) => told));
    }
    return failures;
  },

  /** Reads through connections that break after so many bytes of the answer's body. */
  async "lost connections"() {
    const answers = [];
    for (const bytes of options.after) {
      const proxy = await startProxy(base, { after: bytes });
      const far = new Gatehouse({ url: proxy.url, token });
      const events = await collect(far.streamChat("Hi"));
      answers.push({ events, connections: proxy.connections() });
      proxy.close();
    }
    return answers;
  },

  /** The answer to a plain call is lost on its way, once. */
  async "lost answer"() {
    const proxy = await startProxy(base, { after: 0 });
    const far = new Gatehouse({ url: proxy.url, token });
    const replays = [];
    const answer = await far.chat("Hi", {
      onResponse: ({ headers }) => replays.push(headers.get("Idempotent-Replay")),
    });
    proxy.close();
    return { answer, replays };
  },

  async stop() {
    const stream = g.streamChat("Hi");
    return leave(stream, () => stream.stop());
  },

  async "stop early"() {
    const stream = g.streamChat("Hi");
    const reading = collect(stream);
    await new Promise((resolve) => setTimeout(resolve, 500)); // so that it is the server that waits
    await stream.stop();
    return reading;
  },

  async break() {
    const stream = g.streamChat("Hi");
    for await (const { type } of stream) if (type === "token") break;
    return { streamId: stream.streamId };
  },

  async abort() {
    const controller = new AbortController();
    return leave(g.streamChat("Hi", { signal: controller.signal }), () => controller.abort());
  },

  async retry() {
    return collect(g.streamChat("Hi"));
  },

  async "twenty at once"() {
    const twenty = () => Promise.all(Array.from({ length: 20 }, () => g.chat("Hi")));
    const first = await twenty();
    await fetch(options.between);
    return [...first, ...(await twenty())].map(({ reply }) => reply);
  },

  async "a quarter of an hour"() {
    const real = Date.now;
    const replies = [];
    for (const minutes of [0, 10, 14.4, 14.6, 24.6, 29.3]) {
      Date.now = () => real() + minutes * 60_000;
      replies.push((await g.chat("Hi")).reply);
    }
    return replies;
  },

  /** A page is left amid its answer: nothing of it runs any more. */
  async leave() {
    const stream = g.streamChat("Hi");
    for await (const { type, token: text } of stream) {
      const { streamId, lastEventId } = stream;
      if (type === "token") print({ text, streamId, lastEventId });
    }
  },

  async return() {
    const { streamId, lastEventId } = options;
    return collect(g.resumeStream(streamId, { lastEventId }));
  },
};

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

async function leave(stream, end) {
  const types = [];
  try {
    for await (const { type } of stream) {
      types.push(type);
      if (type === "token") await end();
    }
  } catch (error) {
    types.push(error.name);
  }
  return types;
}

function print(result) {
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}

const result = await uses[options.use]();
await Promise.allSettled(requests); // also those that nobody waits for
print(result);
