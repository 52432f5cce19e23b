/** `<gatehouse-chat>`: a conversation with a model, for any page. docs/component.md is the guide. */

import type { GatehouseError, GivenToken } from "./gatehouse.js";

export class GatehouseChat extends HTMLElement {
  /** Instead of the attribute `token-url`. */
  token?: () => GivenToken | Promise<GivenToken>;
  /** Further fields of each request. */
  fields?: Record<string, unknown>;
  /** Words of the interface, by name. */
  texts: Record<string, string>;
  /** Instead of the browser's. */
  fetch?: typeof fetch;

  /** A copy of the conversation. */
  readonly messages: ChatMessage[];
  /** Whether a floating chat is open. */
  readonly isOpen: boolean;

  /** Does nothing until the element is in a page, as do the others. */
  send(text: string): Promise<void> | undefined;
  stop(): Promise<void> | undefined;
  /** Ask for another answer instead of the last one, or for the one that failed. */
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
