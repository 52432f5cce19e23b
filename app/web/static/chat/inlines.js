// Renders inline Markdown: emphasis, code, links. See markdown.js.

import { h } from "./dom.js";

const SAFE_SCHEMES = new Set(["https:", "http:", "mailto:", "tel:"]);
const MAX_LINK_CHARS = 2000; // the longest text or address of a link
const MAX_DEPTH = 6;
const MAX_PIECES = 4000; // of one paragraph; in a longer one, emphasis stays plain, as pairing takes time
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", hellip: "…", mdash: "—", ndash: "–" };
const PUNCTUATION = /[\p{P}\p{S}]/u;
const SPECIAL = /[\\`*_~[\]!<&\n]|https?:\/\//g;

const escapable = /[!-/:-@[-`{-~]/;
const entity = /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|(\w{2,8}));/y;
const autolink = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const lineBreak = /<br\s*\/?>/iy;
const bareUrl = /https?:\/\/[^\s<>"'`\\|*\u0000-\u0020]+/y;
const address = /\(\s*(?:<([^<>\n]*)>|((?:\\.|[^\s()\\]|\((?:\\.|[^\s()\\])*\))*))(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)/y;

/** Returns the nodes of a text. With `isGrowing` its end may be missing, so open marks are closed. */
export function showInlines(text, { isGrowing = false } = {}) {
  return new Inlines(isGrowing ? closeOpenMarks(text) : text, 0, false).show();
}

/** Closes open marks of an unfinished stream, so that emphasis and code do not flicker. */
function closeOpenMarks(text) {
  const trimmed = text.replace(/(?<![\w\\])[*_~`]+$|(?<=[\s])\[$/, "");
  const withoutCode = trimmed.replace(/(`+)[^`]*\1/g, "");
  const code = /`+(?=[^`]*$)/.exec(withoutCode);
  if (code) return trimmed + code[0];
  const strong = (withoutCode.match(/\*\*/g) ?? []).length % 2 ? "**" : "";
  return trimmed.replace(/\s+$/, "") + strong;
}

class Inlines {
  #pieces = []; // nodes and strings, and delimiter runs as {mark, count, opens, closes}
  #closedBy = new Map(); // the last position of backtick runs, by length

  constructor(text, depth, isInLink) {
    this.text = text;
    this.depth = depth;
    this.isInLink = isInLink;
  }

  show() {
    const { text } = this;
    for (const { 0: run, index } of text.matchAll(/`+/g)) this.#closedBy.set(run.length, index);
    let at = 0;
    while (at < text.length) {
      SPECIAL.lastIndex = at;
      const next = SPECIAL.exec(text);
      this.#add(text.slice(at, next?.index));
      if (!next) break;
      at = this.#readSpecial(next.index);
    }
    this.#emphasize();
    return this.#pieces.map((piece) => (piece.mark ? piece.mark.repeat(piece.count) : piece));
  }

  #add(piece) {
    if (piece !== "") this.#pieces.push(piece);
  }

  /** Reads the syntax at a position, and returns the position after it. */
  #readSpecial(at) {
    const { text } = this;
    const char = text[at];
    switch (char) {
      case "\n":
        this.#pieces.push(h("br"));
        return at + 1;
      case "\\":
        if (text[at + 1] === "\n") return at + 1;
        if (escapable.test(text[at + 1] ?? "")) {
          this.#add(text[at + 1]);
          return at + 2;
        }
        break;
      case "`":
        return this.#readCode(at);
      case "*":
      case "_":
      case "~":
        return this.#readDelimiters(at);
      case "!":
        if (text[at + 1] === "[") return this.#readLink(at + 1, true);
        break;
      case "[":
        return this.#readLink(at, false);
      case "<":
      case "&":
      case "h":
        return this.#readReference(at);
    }
    this.#add(char);
    return at + 1;
  }

  #readCode(at) {
    const { text } = this;
    const run = /`+/y;
    run.lastIndex = at;
    const mark = run.exec(text)[0];
    const from = at + mark.length;
    if ((this.#closedBy.get(mark.length) ?? -1) >= from) {
      for (const { 0: end, index } of text.slice(from).matchAll(/`+/g)) {
        if (end.length !== mark.length) continue;
        const code = text.slice(from, from + index).replaceAll("\n", " ");
        const isPadded = /^ .*[^ ].* $/.test(code);
        this.#pieces.push(h("code", { dir: "ltr" }, isPadded ? code.slice(1, -1) : code));
        return from + index + end.length;
      }
    }
    this.#add(mark);
    return from;
  }

  #readDelimiters(at) {
    const { text } = this;
    const mark = text[at];
    let end = at;
    while (text[end] === mark) end += 1;
    const [before, after] = [text[at - 1] ?? " ", text[end] ?? " "];
    const isSpace = (char) => /\s/.test(char);
    const isPunctuation = (char) => PUNCTUATION.test(char);
    const left = !isSpace(after) && (!isPunctuation(after) || isSpace(before) || isPunctuation(before));
    const right = !isSpace(before) && (!isPunctuation(before) || isSpace(after) || isPunctuation(after));
    const isWord = mark === "_";
    this.#pieces.push({
      mark,
      count: end - at,
      opens: left && (!isWord || !right || isPunctuation(before)),
      closes: right && (!isWord || !left || isPunctuation(after)),
    });
    return end;
  }

  /** Reads [text](address). An image becomes a link, as a model must not make the page load anything. */
  #readLink(at, isImage) {
    const { text } = this;
    const end = this.#findBracket(at);
    if (end !== null && !(this.isInLink && !isImage) && this.depth < MAX_DEPTH) {
      address.lastIndex = end + 1;
      const target = address.exec(text.slice(0, end + 1 + MAX_LINK_CHARS));
      if (target) {
        const words = text.slice(at + 1, end);
        const content = isImage ? [words || "image"] : new Inlines(words, this.depth + 1, true).show();
        this.#addLink(target[1] ?? target[2] ?? "", content);
        return end + 1 + target[0].length;
      }
    }
    this.#add(isImage ? "![" : "[");
    return at + 1;
  }

  #findBracket(at) {
    const { text } = this;
    let open = 0;
    for (let end = at; end < Math.min(text.length, at + MAX_LINK_CHARS); end += 1) {
      if (text[end] === "\\") end += 1;
      else if (text[end] === "[") open += 1;
      else if (text[end] === "]" && --open === 0) return end;
    }
    return null;
  }

  /** Reads an entity, a URL or a line break. */
  #readReference(at) {
    const { text } = this;
    for (const [pattern, take] of [
      [entity, (match) => this.#add(decodeEntity(match))],
      [lineBreak, () => this.#pieces.push(h("br"))],
      [autolink, (match) => this.#addLink(match[1], [match[1].replace("mailto:", "")])],
    ]) {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match) {
        take(match);
        return at + match[0].length;
      }
    }
    bareUrl.lastIndex = at;
    const url = bareUrl.exec(text);
    if (url && !this.isInLink && !/\w/.test(text[at - 1] ?? "")) {
      const trimmed = trimUrl(url[0]);
      this.#addLink(trimmed, [trimmed]);
      return at + trimmed.length;
    }
    this.#add(text[at]);
    return at + 1;
  }

  #addLink(target, content) {
    const url = safeUrl(target);
    // The title shows the address, as the text may name another one.
    this.#pieces.push(...(url ? [h("a", { href: url, title: url, target: "_blank", rel: "noopener noreferrer nofollow", part: "link" }, content)] : content));
  }

  /** Pairs delimiter runs by CommonMark's algorithm. */
  #emphasize() {
    const pieces = this.#pieces;
    if (pieces.length > MAX_PIECES) return;
    const bottoms = new Map(); // no opener for such a closer below; keeps this linear
    for (let at = 0; at < pieces.length; at += 1) {
      const closer = pieces[at];
      if (!closer.closes || !closer.count) continue;
      const key = `${closer.mark}${closer.opens}${closer.count % 3}`;
      let from = at - 1;
      const bottom = bottoms.get(key);
      while (from >= 0 && !(bottom && pieces[from] === bottom) && !canPair(pieces[from], closer)) from -= 1;
      if (from < 0 || (bottom && pieces[from] === bottom)) {
        bottoms.set(key, pieces.slice(Math.max(from, 0), at).findLast((piece) => piece.mark));
        continue;
      }
      at = this.#wrap(from, at);
    }
  }

  /** Wraps the pieces between an opener and a closer, and returns the position to continue from. */
  #wrap(from, to) {
    const pieces = this.#pieces;
    const [opener, closer] = [pieces[from], pieces[to]];
    const used = closer.mark === "~" ? closer.count : Math.min(2, opener.count, closer.count);
    const content = pieces.slice(from + 1, to).map((piece) => (piece.mark ? piece.mark.repeat(piece.count) : piece));
    const element = h(closer.mark === "~" ? "del" : used === 2 ? "strong" : "em", {}, content);
    opener.count -= used;
    closer.count -= used;
    const left = [...(opener.count ? [opener] : []), element, ...(closer.count ? [closer] : [])];
    pieces.splice(from, to - from + 1, ...left);
    return from + left.length - (closer.count ? 2 : 1);
  }
}

function canPair(opener, closer) {
  if (opener.mark !== closer.mark || !opener.opens || !opener.count) return false;
  if (closer.mark === "~") return opener.count === closer.count && closer.count <= 2;
  const isEither = (opener.closes || closer.opens) && (opener.count + closer.count) % 3 === 0;
  return !isEither || (opener.count % 3 === 0 && closer.count % 3 === 0);
}

function decodeEntity([whole, decimal, hex, name]) {
  if (name) return ENTITIES[name] ?? whole;
  const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : "\ufffd";
}

/** Removes sentence punctuation after a URL: a full stop, or a bracket that was opened before it. */
function trimUrl(url) {
  let end = url.length;
  const count = (char) => url.slice(0, end).split(char).length;
  while (/[.,:;!?)\]]/.test(url[end - 1]) && !(url[end - 1] === ")" && count("(") >= count(")"))) end -= 1;
  return url.slice(0, end);
}

/** Returns an absolute URL with a safe scheme, or null. */
export function safeUrl(target) {
  try {
    const url = new URL(target.replace(/\\([!-/:-@[-`{-~])/g, "$1"));
    return SAFE_SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
