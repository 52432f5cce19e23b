/** `<gatehouse-chat>`: a conversation with a model, for any page. Guide: docs/component.md */

import type { GatehouseError, GivenToken } from "./gatehouse.js";

export class GatehouseChat extends HTMLElement {
  /** Fetches the visitor's token. Replaces the attribute `token-url`. */
  token?: () => GivenToken | Promise<GivenToken>;
  /** Additional fields of each request. */
  fields?: Record<string, unknown>;
  /** Texts of the interface, by name. */
  texts: Record<string, string>;
  /** Replaces the browser's `fetch`. */
  fetch?: typeof fetch;

  /** A copy of the conversation. */
  readonly messages: ChatMessage[];
  /** Whether a floating chat is open. */
  readonly isOpen: boolean;

  /** Sends a message. Like the other methods, it has no effect until the element is in a page. */
  send(text: string): Promise<void> | undefined;
  stop(): Promise<void> | undefined;
  /** Requests another answer in place of the last one, or retries the one that failed. */
  retry(): Promise<void> | undefined;
  clear(): void;
  open(): void;
  close(): void;
}

export interface ChatMessage {
  role: "user" | "assistant";
  text: string;
  files?: { name: string; type: string; size: number; url?: string }[];
  status?: "writing" | "done" | "stopped" | "cut";
  finishReason?: string;
}

declare global {
  interface HTMLElementTagNameMap {
    "gatehouse-chat": GatehouseChat;
  }
  interface HTMLElementEventMap {
    "gatehouse-message": CustomEvent<ChatMessage>;
    "gatehouse-error": CustomEvent<GatehouseError>;
    "gatehouse-open": CustomEvent<null>;
    "gatehouse-close": CustomEvent<null>;
  }
}
