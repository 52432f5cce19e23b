// The openai package: one call of `options.method` with `options.body`; prints what it gives, or the error with its fields.
import OpenAI from "openai";

const [base, given] = process.argv.slice(2);
const options = JSON.parse(given);

const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: options.key ?? "anonymous", maxRetries: options.retries ?? 0 });
const methods = {
  chat: (body) => client.chat.completions.create(body),
  stream: async (body) => {
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) chunks.push(chunk);
    return chunks;
  },
  respond: (body) => client.responses.create(body),
  follow: async (body) => {
    const stream = client.responses.stream(body);
    const types = [];
    for await (const event of stream) types.push(event.type);
    return { types, text: (await stream.finalResponse()).output_text };
  },
  embed: (body) => client.embeddings.create(body),
  models: async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  },
};

const print = (found) => process.stdout.write(JSON.stringify(found));
try {
  print({ found: await methods[options.method](options.body) });
} catch (error) {
  const { message, status, code, param, type, requestID } = error;
  print({ error: { name: error.constructor.name, message, status, code, param, type, requestID } });
}
