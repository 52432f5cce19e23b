/** Call a Gatehouse server from a page or from Node. docs/frontend.md is the guide. */

export class Gatehouse {
  constructor(options?: GatehouseOptions);

  chat(conversation: Conversation, options?: PlainOptions & ChatFields): Promise<ChatAnswer>;
  streamChat(conversation: Conversation, options?: StreamOptions & ChatFields): AnswerStream<ChatEvent>;

  /** Ask about images: `https://` or `data:` URLs, or files, such as those of an input. Not both. */
  vision(prompt: string, images: Images, options?: PlainOptions & VisionFields): Promise<ChatAnswer>;
  streamVision(prompt: string, images: Images, options?: StreamOptions & VisionFields): AnswerStream<ChatEvent>;

  embed(input: string | string[], options?: PlainOptions & EmbeddingFields): Promise<EmbeddingAnswer>;

  /** Compare two texts, or rank documents by their similarity to a query. */
  similarity(a: string, b: string, options?: PlainOptions & SimilarityFields): Promise<Similarity>;
  similarity(query: string, documents: string[], options?: PlainOptions & SimilarityFields): Promise<Ranking>;

  /** Get data that matches a JSON schema; without `schema` and `schemaName`, any JSON object. */
  structured<Data = unknown>(
    conversation: Conversation,
    options?: PlainOptions & StructuredFields,
  ): Promise<StructuredAnswer<Data>>;
  streamStructured<Data = unknown>(
    conversation: Conversation,
    options?: StreamOptions & StructuredFields,
  ): AnswerStream<StructuredEvent<Data>>;

  /** The visitor's token, renewed if need be: for what calls the server by itself, such as `useChat`. */
  getToken(): Promise<string | null | undefined>;

  /** Report what the caller has used and has left. */
  usage(options?: CallOptions & UsageQuery): Promise<Usage>;

  /** Go on with a stream that the page has left, as after a reload: after `lastEventId`, or from its beginning. */
  resumeStream<Event = ChatEvent>(
    streamId: string,
    options?: CallOptions & { lastEventId?: string },
  ): AnswerStream<Event>;
}

export interface GatehouseOptions {
  /** The server's address, such as `https://ai.example.com`. Default: the page's own site. */
  url?: string;
  /** The visitor's token, or a function that fetches one: it is called again before the token expires, and once after a 401. */
  token?: string | (() => GivenToken | Promise<GivenToken>);
  /** Further headers of each request. */
  headers?: Record<string, string>;
  fetch?: typeof fetch;
}

/** A response with such JSON or with the bare token; `null` is nobody's, so that the request has no credential. */
export type GivenToken = Response | string | { token: string; expiresAt?: string } | null | undefined;

/** What went wrong. The message is a sentence that may be shown to a visitor. */
export class GatehouseError extends Error {
  /**
   * The server's stable word (docs/errors.md), or `network_error` (the connection failed), or `token_failed`;
   * undefined if something else than the server has answered.
   */
  code?: string;
  /** `null` if there was no response, or if the error came within a stream. */
  status: number | null;
  /** The seconds after which trying again may help. */
  retryAfter: number | null;
  /** The id of the request in the server's log. */
  requestId: string | null;
  /** The field of the request that is wrong. */
  field: string | null;
}

export interface CallOptions {
  signal?: AbortSignal | null;
  /** How often a request is sent again after a 429 or 503 with `Retry-After`, or if the connection fails. Default: 2 */
  retries?: number;
  /** Called with each response before it is read. */
  onResponse?: (response: Response) => void;
}

export interface PlainOptions extends CallOptions {
  /** Called before each wait. */
  onRetrying?: (event: WaitingEvent) => void;
  /** Default: a new one for each call. A request that is sent again with the same key is not billed again. */
  idempotencyKey?: string;
}

export interface StreamOptions extends CallOptions {
  /** Whether the server keeps the answer, so that a lost connection can be made again. Default: true */
  resumable?: boolean;
}

/** A text, or all messages so far. */
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

/** Fields of every request with a conversation: docs/chat.md. */
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
  /** Days in UTC, both inclusive, such as `2026-11-20`. */
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
  /** `null` if the model's server sent none. */
  usage: TokenCounts | null;
}

interface ChatEnd extends Ended {
  toolCalls?: ToolCall[];
  /** Belongs to the tool calls: send it back with them. */
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

/** An event of a type. The fields of other types are undefined in it, so that `const { token } of …` may take them out of any. */
type EventOf<Type extends string, Fields = {}> = { type: Type } & Fields & Omit<NoFields, keyof Fields>;

interface NoFields {
  token?: undefined;
  tool?: undefined;
  toolCalls?: undefined;
  partial?: undefined;
  after?: undefined;
}

/** The request, or the lost connection, waits: for seconds until it is tried again, or for the network. */
export type WaitingEvent = EventOf<"retrying", { after: number }> | EventOf<"offline">;

export type ChatEvent =
  | EventOf<"token", { token: string }>
  | EventOf<"tool", { tool: ToolRun }>
  | EventOf<"toolCalls", { toolCalls: ToolCall[] }>
  | WaitingEvent
  | EventOf<"done", ChatEnd>;

/** Each `partial` is the whole value so far, and not checked yet. */
export type StructuredEvent<Data> =
  | EventOf<"partial", { partial: unknown }>
  | WaitingEvent
  | EventOf<"done", StructuredAnswer<Data>>;

/** The events of one answer. Leaving `for await`, or aborting its signal, ends the answer on the server too. */
export interface AnswerStream<Event> extends AsyncIterable<Event> {
  /** Known once the answer begins, if it is resumable. */
  readonly streamId: string | null;
  readonly lastEventId: string;
  /** End the answer here and on the server. `for await` then ends without an error. Never fails. */
  stop(): Promise<void>;
}
