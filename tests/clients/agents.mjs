// @openai/agents, which calls /v1/responses by itself: one run, streamed if `options.streams`; prints the final output.
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from "@openai/agents";
import { z } from "zod";

const [base, given] = process.argv.slice(2);
const options = JSON.parse(given);

setTracingDisabled(true);
const weather = tool({
  name: "weather",
  description: "Tells the weather.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});
const provider = new OpenAIProvider({ baseURL: `${base}/v1`, apiKey: "anonymous", useResponses: true });
const agent = new Agent({ name: "Assistant", instructions: "Be brief.", model: "gpt-6.1-terra", tools: [weather] });
const runner = new Runner({ modelProvider: provider });

const print = (found) => process.stdout.write(JSON.stringify(found));
try {
  const result = await runner.run(agent, "Hi", { stream: options.streams });
  let text = "";
  if (options.streams) {
    for await (const piece of result.toTextStream()) text += piece;
    await result.completed;
  }
  print({ found: { output: result.finalOutput, text } });
} catch (error) {
  print({ error: { name: error.name, message: error.message } });
}
