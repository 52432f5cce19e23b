/** The Gatehouse client for web pages and Node. Guide: docs/frontend.md */

export class Gatehouse {
  constructor(options?: GatehouseOptions);

  chat(conversation: Conversation, options?: PlainOptions & ChatFields): Promise<ChatAnswer>;
  streamChat(conversation: Conversation, options?: StreamOptions & ChatFields): AnswerStream<ChatEvent>;

  /** Ask about images: `https://` or `data:` URLs, or files, such as those of an `<input>`. URLs and files cannot be mixed. */
  vision(prompt: string, images: Images, options?: PlainOptions & VisionFields): Promise<ChatAnswer>;
  streamVision(prompt: string, images: Images, options?: StreamOptions & VisionFields): AnswerStream<ChatEvent>;

  embed(input: string | string[], options?: PlainOptions & EmbeddingFields): Promise<EmbeddingAnswer>;

  /** Compare two texts, or rank documents by their similarity to a query. */
  similarity(a: string, b: string, options?: PlainOptions & SimilarityFields): Promise<Similarity>;
  similarity(query: string, documents: string[], options?: PlainOptions & SimilarityFields): Promise<Ranking>;

  /** Get data that matches a JSON schema. Without `schema` and `schemaName` it may be any JSON object. */
  structured<Data = unknown>(
    conversation: Conversation,
    options?: PlainOptions & StructuredFields,
  ): Promise<StructuredAnswer<Data>>;
  streamStructured<Data = unknown>(
    conversation: Conversation,
    options?: StreamOptions & StructuredFields,
  ): AnswerStream<StructuredEvent<Data>>;

  /** Get the visitor's token, renewed if necessary, for libraries that call the server themselves, such as `useChat`. */
  getToken(): Promise<string | null | undefined>;

  /** Get the usage of the caller, and what remains of its limits. */
  usage(options?: CallOptions & UsageQuery): Promise<Usage>;

  /** Resume a stream, for example after a reload: after `lastEventId`, or from its beginning. */
  resumeStream<Event = ChatEvent>(
    streamId: string,
    options?: CallOptions & { lastEventId?: string },
  ): AnswerStream<Event>;
}

export interface GatehouseOptions {
  /** The server's address, such as `https://ai.example.com`. Default: the page's own site. */
  url?: string;
  /** The visitor's token, or a function that fetches one. It is called again before the token expires, and once after a 401. */
  token?: string | (() => GivenToken | Promise<GivenToken>);
  /** Additional headers of each request. */
  headers?: Record<string, string>;
  fetch?: typeof fetch;
}

/** A token, alone or as `{ token, expiresAt }`, or a response that contains either. `null`: requests have no credential. */
export type GivenToken = Response | string | { token: string; expiresAt?: string } | null | undefined;

/** An error. Its message is a sentence that may be shown to a visitor. */
export class GatehouseError extends Error {
  /**
   * The server's stable error code (docs/errors.md), `network_error` (the connection failed) or `token_failed`.
   * Undefined if the response is not from the server but, for example, from a proxy.
   */
  code?: string;
  /** The HTTP status. `null` if there was no response, or if the error occurred within a stream. */
  status: number | null;
  /** The seconds to wait before a retry. */
  retryAfter: number | null;
  /** The id of the request, for finding it in the server's log. */
  requestId: string | null;
  /** The invalid field of the request. */
  field: string | null;
}

export interface CallOptions {
  signal?: AbortSignal | null;
  /** How often a request is retried after a 429 or 503 with `Retry-After`, or if the connection fails. Default: 2 */
  retries?: number;
  /** Called with each response before it is read. */
  onResponse?: (response: Response) => void;
}

export interface PlainOptions extends CallOptions {
  /** Called before each wait for a retry. */
  onRetrying?: (event: WaitingEvent) => void;
  /** A request that is repeated with the same key is not billed again. Default: a new key for each call */
  idempotencyKey?: string;
}

export interface StreamOptions extends CallOptions {
  /** Whether the server stores the stream, so that it can be resumed after a lost connection. Default: true */
  resumable?: boolean;
}

/** A message of the user, or all messages so far. */
export type Conversation = string | Message[];

export type Message =
  | { role: "user" | "system" | "developer"; content: string | Part[] }
  | { role: "assistant"; content?: string | null; toolCalls?: ToolCall[]; reasoning?: string }
  | ({ role: "assistant" } & ChatAnswer)
  | { role: "tool"; content: string; toolCallId: string };

export type Part =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string; detail?: Detail } }
  | { type: "file"; file: { file_data: string; filename?: string } };

export type Detail = "low" | "high" | "auto";
export type Images = string | string[] | Blob | Iterable<Blob>;

/** Fields of every request with a conversation. See docs/chat.md. */
export interface AnswerFields {
  model?: string;
  systemPrompt?: string;
  promptName?: string;
  variables?: Record<string, unknown>;
  temperature?: number;
  maxTokens?: number;
  reasoningEffort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";
  verbosity?: "low" | "medium" | "high";
  serviceTier?: "auto" | "default" | "flex" | "priority" | "fast";
  stop?: string | string[];
  topP?: number;
  seed?: number;
  parallelToolCalls?: boolean;
}

export interface ChatFields extends AnswerFields {
  tools?: Tool[];
  serverTools?: string[];
  toolChoice?: "auto" | "none" | "required" | { type: "function"; function: { name: string } };
  cache?: boolean;
}

export interface VisionFields extends AnswerFields {
  detail?: Detail;
}

export interface StructuredFields extends AnswerFields {
  schema?: object;
  schemaName?: string;
  name?: string;
  strict?: boolean;
  normalize?: boolean;
}

export interface EmbeddingFields {
  model?: string;
  dimensions?: number;
}

export interface SimilarityFields {
  model?: string;
  topK?: number;
}

export interface UsageQuery {
  /** The first and last day in UTC, both inclusive, such as `2026-11-20`. */
  from?: string;
  to?: string;
  /** Any of `day`, `model`, `route`, `user`, `tenant`, separated by commas. */
  by?: string;
}

export interface Tool {
  type: "function";
  function: { name: string; description?: string; parameters?: object; strict?: boolean };
}

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export interface ToolRun {
  id: string;
  name: string;
  status: "running" | "done" | "failed";
  ms?: number;
}

export interface TokenCounts {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  [detail: string]: unknown;
}

interface Answered {
  model: string;
  id: string;
  requestId: string | null;
}

interface Ended extends Answered {
  finishReason: "stop" | "length" | "content_filter" | "tool_calls" | "unknown";
  /** `null` if the upstream reported none. */
  usage: TokenCounts | null;
}

interface ChatEnd extends Ended {
  toolCalls?: ToolCall[];
  /** The reasoning that led to the tool calls: send it back with them. */
  reasoning?: string;
  /** How many of the oldest messages were left out. */
  trimmed?: number;
  cached?: boolean;
}

export interface ChatAnswer extends ChatEnd {
  reply: string;
  toolRuns?: ToolRun[];
}

export interface StructuredAnswer<Data> extends Ended {
  data: Data;
  normalized?: string[];
}

export interface EmbeddingAnswer {
  embeddings: number[][];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number } | null;
  requestId: string | null;
}

export interface Similarity {
  similarity: number;
  requestId: string | null;
}

export interface Ranking {
  results: { index: number; similarity: number; document: string }[];
  requestId: string | null;
}

export interface Usage {
  from: string;
  to: string;
  totals: Record<string, number>;
  rows: Record<string, number | string>[];
  limits: {
    of: "user" | "tenant" | "token" | "anonymous";
    window: string;
    microUsd: number | null;
    tokens: number | null;
    leftMicroUsd: number | null;
    leftTokens: number | null;
    resetsInS: number | null;
  }[];
  requestId: string | null;
}

/** An event of one type. The fields of other types are `undefined`, so that `const { token } of …` works for any event. */
type EventOf<Type extends string, Fields = {}> = { type: Type } & Fields & Omit<NoFields, keyof Fields>;

interface NoFields {
  token?: undefined;
  tool?: undefined;
  toolCalls?: undefined;
  partial?: undefined;
  after?: undefined;
}

/** The client waits: `after` seconds before it retries or reconnects, or until the browser is online again. */
export type WaitingEvent = EventOf<"retrying", { after: number }> | EventOf<"offline">;

export type ChatEvent =
  | EventOf<"token", { token: string }>
  | EventOf<"tool", { tool: ToolRun }>
  | EventOf<"toolCalls", { toolCalls: ToolCall[] }>
  | WaitingEvent
  | EventOf<"done", ChatEnd>;

/** Each `partial` is the complete value so far, not yet checked against the schema. */
export type StructuredEvent<Data> =
  | EventOf<"partial", { partial: unknown }>
  | WaitingEvent
  | EventOf<"done", StructuredAnswer<Data>>;

/** The events of one answer. Leaving `for await`, or aborting its signal, also stops the answer on the server. */
export interface AnswerStream<Event> extends AsyncIterable<Event> {
  /** Set when the answer begins, if the stream is resumable. */
  readonly streamId: string | null;
  readonly lastEventId: string;
  /** Stop the answer here and on the server. `for await` then ends without an error. Never fails. */
  stop(): Promise<void>;
}
