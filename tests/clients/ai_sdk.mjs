// @ai-sdk/openai, which calls /v1/responses by itself: one call of `options.method`; prints what it gives, or the error.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai7";
import { z } from "zod";

const [base, given] = process.argv.slice(2);
const options = JSON.parse(given);

const openai = createOpenAI({ baseURL: `${base}/v1`, apiKey: options.key ?? "anonymous" });
const weather = tool({
  description: "Tells the weather.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});
const common = { model: openai(options.model ?? "gpt-6.1-terra"), maxRetries: 0, ...options.settings };
const asked = options.messages ? { messages: options.messages } : { prompt: "Hi" };

const methods = {
  async generate() {
    const { text, usage, finishReason, warnings } = await generateText({ ...common, ...asked });
    return { text, usage, finishReason, warnings };
  },
  async stream() {
    const parts = [];
    const streamed = streamText({ ...common, ...asked, onError: () => {} });
    for await (const part of streamed.fullStream) parts.push(part);
    return parts.map(({ type, text, error, finishReason }) => ({ type, text, error: error?.message, finishReason }));
  },
  async tools() {
    const streamed = streamText({ ...common, ...asked, tools: { weather }, stopWhen: stepCountIs(3) });
    return { text: await streamed.text, steps: (await streamed.steps).length };
  },
  async custom() {
    const run = openai.tools.customTool({ description: "Runs it.", execute: async (text) => `ran ${text}` });
    const providerOptions = { openai: { store: false } };
    const streamed = streamText({ ...common, ...asked, tools: { run }, providerOptions, stopWhen: stepCountIs(3) });
    return { text: await streamed.text, calls: (await streamed.steps)[0].toolCalls.map((call) => call.input) };
  },
  async object() {
    const schema = z.object({ city: z.string() });
    const { output } = await generateText({ ...common, ...asked, output: Output.object({ schema }) });
    return output;
  },
  async turns() {
    const first = await generateText({ ...common, ...asked });
    const messages = [{ role: "user", content: "Hi" }, ...first.response.messages, { role: "user", content: "And?" }];
    return (await generateText({ ...common, messages })).text;
  },
};

const print = (found) => process.stdout.write(JSON.stringify(found));
try {
  print({ found: await methods[options.method]() });
} catch (error) {
  print({ error: { name: error.name, message: error.message, status: error.statusCode } });
}
