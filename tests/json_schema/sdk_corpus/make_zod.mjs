// Writes zod.json: what openai-node's helpers make of common zod types. Run in an empty folder:
//   npm install openai@6.49.0 zod@4.6.7 zod3@npm:zod@3.25.76 && node make_zod.mjs > zod.json
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } = require('openai/helpers/zod');
const versions = { zod4: require('zod').z, zod3: require('zod3').z };

const types = {
  string: (z) => z.string(),
  described: (z) => z.string().describe('a text'),
  email: (z) => z.string().email(),
  url: (z) => z.string().url(),
  uuid: (z) => z.string().uuid(),
  datetime: (z) => z.string().datetime(),
  date: (z) => z.string().date(),
  time: (z) => z.string().time(),
  ip: (z) => (z.ipv4 ? z.ipv4() : z.string().ip()),
  cuid: (z) => z.string().cuid(),
  base64: (z) => z.string().base64(),
  emoji: (z) => z.string().emoji(),
  regex: (z) => z.string().regex(/^[\w.-]+\/\d{4}$/u),
  startsWith: (z) => z.string().startsWith('a/'),
  lengths: (z) => z.string().min(1).max(9),
  nonempty: (z) => z.string().nonempty(),
  number: (z) => z.number(),
  int: (z) => z.number().int(),
  range: (z) => z.number().int().min(1).max(5),
  positive: (z) => z.number().positive(),
  multiple: (z) => z.number().multipleOf(0.5),
  boolean: (z) => z.boolean(),
  literal: (z) => z.literal('a'),
  'literal number': (z) => z.literal(1),
  enum: (z) => z.enum(['a', 'b']),
  'native enum': (z) => z.nativeEnum({ A: 'a', B: 'b' }),
  'numeric enum': (z) => z.nativeEnum({ A: 1, B: 2 }),
  null: (z) => z.null(),
  nullable: (z) => z.string().nullable(),
  'nullable object': (z) => z.object({ x: z.string() }).nullable(),
  'nullable enum': (z) => z.enum(['a', 'b']).nullable(),
  nullish: (z) => z.string().nullish(),
  default: (z) => z.string().default('x'),
  'default in a list': (z) => z.array(z.object({ x: z.number().default(1) })),
  array: (z) => z.array(z.string()),
  'array lengths': (z) => z.array(z.string()).min(1).max(3),
  'array nonempty': (z) => z.array(z.number()).nonempty(),
  object: (z) => z.object({ x: z.string(), y: z.object({ z: z.number() }) }),
  'described object': (z) => z.object({ x: z.string() }).describe('an object'),
  strict: (z) => z.object({ x: z.string() }).strict(),
  passthrough: (z) => z.object({ x: z.string() }).passthrough(),
  union: (z) => z.union([z.string(), z.number()]),
  'union of objects': (z) => z.union([z.object({ a: z.string() }), z.object({ b: z.number() })]),
  'discriminated union': (z) =>
    z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('a'), x: z.string() }),
      z.object({ kind: z.literal('b'), y: z.number() }),
    ]),
  'shared object': (z) => {
    const shared = z.object({ x: z.string() });
    return z.object({ a: shared, b: shared, c: z.array(shared) });
  },
  'shared and described': (z) => {
    const shared = z.object({ x: z.string() });
    return z.object({ a: shared.describe('first'), b: shared.describe('second') });
  },
  recursive: (z) => {
    const node = z.lazy(() => z.object({ name: z.string(), children: z.array(node) }));
    return node;
  },
  readonly: (z) => z.object({ x: z.string() }).readonly(),
  brand: (z) => z.string().brand('b'),
  catch: (z) => z.string().catch('x'),
  refine: (z) => z.string().refine((text) => text !== 'x'),
  extended: (z) => z.object({ a: z.string() }).extend({ b: z.number() }),
  intersection: (z) => z.intersection(z.object({ a: z.string() }), z.object({ b: z.number() })),
  record: (z) => z.record(z.string(), z.number()),
  tuple: (z) => z.tuple([z.string(), z.number()]),
  set: (z) => z.set(z.string()),
  any: (z) => z.any(),
  unknown: (z) => z.unknown(),
  'with metadata': (z) =>
    z.string().meta ? z.string().meta({ title: 'T', examples: ['a'], deprecated: true }) : z.string(),
  'with an id': (z) =>
    z.object({ x: z.string() }).meta ? z.object({ x: z.string() }).meta({ id: 'Named', title: 'T' }) : z.string(),
};

const corpus = {};
for (const [version, z] of Object.entries(versions)) {
  for (const [name, type] of Object.entries(types)) {
    try {
      const schema = z.object({ value: type(z) });
      const format = JSON.parse(JSON.stringify(zodResponseFormat(schema, 'answer')));
      const text = JSON.parse(JSON.stringify(zodTextFormat(schema, 'answer')));
      const chatTool = zodFunction({ name: 'answer', parameters: schema });
      const tool = zodResponsesFunction({ name: 'answer', parameters: schema });
      for (const same of [text.schema, chatTool.function.parameters, tool.parameters]) {
        if (JSON.stringify(same) !== JSON.stringify(format.json_schema.schema)) throw new Error('they differ');
      }
      corpus[`${version} ${name}`] = format;
    } catch (error) {
      process.stderr.write(`${version} ${name}: ${String(error.message).slice(0, 120)}\n`);
    }
  }
}
process.stdout.write(
  '{\n' + Object.entries(corpus).map(([name, format]) => `${JSON.stringify(name)}: ${JSON.stringify(format)}`).join(',\n') + '\n}\n',
);
