// Streams an answer with OpenAI's own package; Gatehouse keeps the key of OpenAI.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.GATEHOUSE_URL ?? "http://127.0.0.1:8000"}/v1`,
  apiKey: process.env.GATEHOUSE_KEY ?? "anonymous",
});
const question = process.argv.slice(2).join(" ") || "Hello";
const stream = await client.chat.completions.create({
  model: "gpt-6.1-terra",
  messages: [{ role: "user", content: question }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();
