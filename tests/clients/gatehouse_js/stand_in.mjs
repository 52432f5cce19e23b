// A server that is only a function, and a clock that does not wait: for what a real server cannot be made to do.
import { Gatehouse } from "../../../app/web/static/gatehouse.js";

const encoder = new TextEncoder();

/** A response with a body of these chunks; an Error in their place breaks the connection there. */
export function respond(chunks, { status = 200, headers = {} } = {}) {
  const rest = [...chunks];
  const body = new ReadableStream({
    pull(controller) {
      const chunk = rest.shift();
      if (chunk === undefined) controller.close();
      else if (chunk instanceof Error) controller.error(chunk);
      else controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
    },
  });
  return new Response(status === 204 ? null : body, { status, headers });
}

export const respondJson = (value, more) => respond([JSON.stringify(value)], more);

/** A client of these answers, one for each request (the last one for all further), and the requests that it sends. */
export function clientOf(answers, options = {}) {
  const requests = [];
  const fetch = async (url, init) => {
    init.signal?.throwIfAborted();
    requests.push({ url, ...init });
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    const given = typeof answer === "function" ? await answer(init) : answer;
    if (given instanceof Error) throw given;
    return given;
  };
  return { client: new Gatehouse({ url: "https://ai.example", fetch, ...options }), requests };
}

/** Let no timer wait, and return the list of how long each would have waited, in seconds. */
export function skipWaits(test) {
  const waits = [];
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (run, ms = 0, ...rest) => {
    if (ms === 40_000) return real(run, 2 ** 30).unref(); // of a silent connection
    waits.push(ms / 1000);
    return real(run, 0, ...rest);
  };
  test.after(() => (globalThis.setTimeout = real));
  return waits;
}

export async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}
