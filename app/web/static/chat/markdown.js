// Renders Markdown as elements, without creating or parsing HTML. Every element, attribute and URL scheme that a model's text
// can produce is named in this file and in inlines.js; everything else stays text.
//
// It supports CommonMark with tables, task lists, strikethrough and bare URLs. Exceptions: HTML stays text and images become
// links (a model must not make the page load anything), a line break is a line break, and there are no link definitions.

import { h } from "./dom.js";
import { showInlines } from "./inlines.js";

const MAX_DEPTH = 12; // of nested quotations and lists; deeper ones are text
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|(\d{1,9})[.)])( {1,4}(?! )| +|$)/;
const DELIMITER_ROW = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const TASK = /^\[([ xX])\] +/;

const isBlank = (line) => line === undefined || line.trim() === "";
const indentOf = (line) => line.length - line.trimStart().length;

/**
 * Renders a text that may still grow. Unchanged blocks keep their elements, so that a selection, the focus or a scrolled table
 * survives an update.
 */
export class MarkdownView {
  #shown = []; // [{source, node}]

  /** @param options `codeBar(getText, language)` returns the bar above a code block. */
  constructor(element, options) {
    this.element = element;
    this.options = options;
  }

  update(text, isGrowing = false) {
    const lines = text.replace(/\r\n?/g, "\n").replaceAll("\0", "\ufffd").split("\n").map(expandTabs);
    const blocks = readBlocks(lines, 0);
    blocks.forEach((block, index) => {
      const isLast = isGrowing && index === blocks.length - 1;
      const source = `${isLast} ${block.type} ${lines.slice(block.from, block.to).join("\n")}`;
      const shown = this.#shown[index];
      if (shown?.source === source) return;
      const node = showBlock(block, { ...this.options, isGrowing: isLast });
      node.dir ||= "auto"; // per block: an answer may mix languages
      if (!shown) this.element.append(node);
      this.#shown[index] = { source, node: shown ? become(shown.node, node) : node };
    });
    for (const { node } of this.#shown.splice(blocks.length)) node.remove();
  }
}

/** Updates a node to equal another one, keeps equal parts, and returns the node that is now in its place. */
function become(node, other) {
  if (!node.cloneNode().isEqualNode(other.cloneNode())) {
    if (node.data === undefined || other.data === undefined) {
      node.replaceWith(other);
      return other;
    }
    const isLonger = other.data.startsWith(node.data);
    node.replaceData(isLonger ? node.length : 0, node.length, isLonger ? other.data.slice(node.length) : other.data);
  }
  const children = [...other.childNodes];
  while (node.childNodes.length > children.length) node.lastChild.remove();
  for (const [at, child] of children.entries()) node.childNodes[at] ? become(node.childNodes[at], child) : node.append(child);
  return node;
}

function expandTabs(line) {
  return line.replace(/^[ \t]+/, (indent) => indent.replaceAll("\t", "    "));
}

/** Parses lines to blocks: [{type, from, to, …}]. */
function readBlocks(lines, depth) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const block = readBlock(lines, at, depth);
    blocks.push({ ...block, from: at });
    at = block.to;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return readFence(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return { type: "heading", level: heading[1].length, text: heading[2] ?? "", to: at + 1 };
  if (RULE.test(line)) return { type: "rule", to: at + 1 };
  if (depth < MAX_DEPTH) {
    if (QUOTE.test(line)) return readQuote(lines, at, depth);
    if (ITEM.test(line)) return readList(lines, at, depth);
  }
  if (isTable(lines, at)) return readTable(lines, at);
  if (indentOf(line) >= 4) return readIndentedCode(lines, at);
  return readParagraph(lines, at);
}

function readFence(lines, at, [, mark, language]) {
  const indent = indentOf(lines[at]);
  const end = new RegExp(`^ {0,3}\\${mark[0]}{${mark.length},}[ \\t]*$`);
  let to = at + 1;
  while (to < lines.length && !end.test(lines[to])) to += 1;
  const code = lines.slice(at + 1, to).map((line) => line.slice(Math.min(indent, indentOf(line))));
  return { type: "code", language, text: code.join("\n"), to: to + 1 };
}

function readIndentedCode(lines, at) {
  let to = at;
  while (to < lines.length && (isBlank(lines[to]) || indentOf(lines[to]) >= 4)) to += 1;
  const code = lines.slice(at, to).map((line) => line.slice(4));
  return { type: "code", language: "", text: code.join("\n").trimEnd(), to };
}

function readQuote(lines, at, depth) {
  let to = at + 1;
  while (to < lines.length && (QUOTE.test(lines[to]) || isLazy(lines, to))) to += 1;
  const inner = lines.slice(at, to).map((line) => line.replace(QUOTE, ""));
  return { type: "quote", blocks: readBlocks(inner, depth + 1), to };
}

/** Returns whether a line continues the paragraph above it without the marker of a quotation or item. */
function isLazy(lines, at) {
  return !isBlank(lines[at - 1].replace(QUOTE, "")) && !isBlank(lines[at]) && !beginsBlock(lines, at) && !inFence(lines, at);
}

function inFence(lines, at) {
  return FENCE.test(lines[at - 1].replace(QUOTE, ""));
}

function readList(lines, at, depth) {
  const [, , marker, number] = ITEM.exec(lines[at]);
  const kind = marker.at(-1);
  const items = [];
  let isLoose = false;
  let to = at;
  while (to < lines.length) {
    const item = ITEM.exec(lines[to]);
    if (!item || item[2].at(-1) !== kind || RULE.test(lines[to])) break;
    const { inner, end } = readItem(lines, to, item);
    const next = skipBlank(lines, end);
    const blocks = readBlocks(inner, depth + 1);
    isLoose ||= (next > end && ITEM.exec(lines[next] ?? "")?.[2].at(-1) === kind) || blocks.some((block, index) => index && isBlank(inner[block.from - 1]));
    items.push(blocks);
    to = next;
    if (next === lines.length) to = end;
    if (end === lines.length) break;
  }
  return { type: "list", start: number === undefined ? null : Number(number), items, isLoose, to };
}

function readItem(lines, at, [whole, indent, marker, , space]) {
  const width = space.length > 4 || space === "" ? indent.length + marker.length + 1 : whole.length;
  const inner = [lines[at].slice(width)];
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (isBlank(line)) {
      // After blank lines, only indented lines continue an item.
      const next = skipBlank(lines, end);
      if (next === lines.length || indentOf(lines[next]) < width) break;
      inner.push("");
    } else if (indentOf(line) >= width) {
      inner.push(line.slice(width));
    } else if (!isBlank(inner.at(-1)) && !beginsBlock(lines, end) && !ITEM.test(line)) {
      inner.push(line.trimStart()); // lazy continuation
    } else {
      break;
    }
  }
  return { inner, end };
}

function skipBlank(lines, at) {
  while (at < lines.length && isBlank(lines[at])) at += 1;
  return at;
}

function isTable(lines, at) {
  const [head, delimiters] = [lines[at], lines[at + 1]];
  if (delimiters === undefined || !head.includes("|") || !DELIMITER_ROW.test(delimiters)) return false;
  return splitRow(head).length === splitRow(delimiters).length;
}

function readTable(lines, at) {
  const alignments = splitRow(lines[at + 1]).map((cell) => {
    const [left, right] = [cell.startsWith(":"), cell.endsWith(":")];
    return right ? (left ? "center" : "end") : "";
  });
  let to = at + 2;
  while (to < lines.length && !isBlank(lines[to]) && !beginsBlock(lines, to)) to += 1;
  const rows = lines.slice(at + 2, to).map(splitRow);
  return { type: "table", head: splitRow(lines[at]), rows, alignments, to };
}

function splitRow(line) {
  const cells = line.trim().replace(/^\|/, "").match(/(?:\\.|[^\\|]|\\$)*(?:\||$)/g) ?? [];
  if (cells.at(-1) === "") cells.pop();
  return cells.map((cell) => cell.replace(/\|$/, (end, at) => (cell[at - 1] === "\\" ? end : "")).replaceAll("\\|", "|").trim());
}

function readParagraph(lines, at) {
  let to = at + 1;
  for (; to < lines.length && !isBlank(lines[to]); to += 1) {
    const underline = UNDERLINE.exec(lines[to]);
    if (underline) {
      const text = lines.slice(at, to).join("\n").trim();
      return { type: "heading", level: underline[1][0] === "=" ? 1 : 2, text, to: to + 1 };
    }
    if (beginsBlock(lines, to) || isTable(lines, to)) break;
  }
  const text = lines.slice(at, to).map((line) => line.trimStart()).join("\n").trimEnd();
  return { type: "paragraph", text, to };
}

/** Returns whether a line ends the paragraph above it. */
function beginsBlock(lines, at) {
  const line = lines[at];
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  return Boolean(item) && item[0].length < line.length && (item[3] === undefined || item[3] === "1");
}

function showBlock(block, options) {
  switch (block.type) {
    case "heading":
      // The page has its own headings: those of an answer start at level 3.
      return h(`h${Math.min(block.level + 2, 6)}`, {}, showInlines(block.text, options));
    case "rule":
      return h("hr");
    case "code":
      return showCode(block, options);
    case "quote":
      return h("blockquote", {}, showBlocks(block.blocks, options));
    case "list":
      return showList(block, options);
    case "table":
      return showTable(block, options);
    default:
      return h("p", {}, showInlines(block.text, options));
  }
}

function showBlocks(blocks, options) {
  return blocks.map((block, index) => showBlock(block, { ...options, isGrowing: options.isGrowing && index === blocks.length - 1 }));
}

function showCode({ text, language }, { codeBar }) {
  const code = h("code", {}, text);
  const bar = codeBar?.(() => code.textContent, language.slice(0, 20));
  return h("div", { class: "code", part: "code", dir: "ltr" }, bar, h("pre", { tabindex: "0" }, code));
}

function showList({ start, items, isLoose }, options) {
  const list = items.map((blocks, index) => showItem(blocks, isLoose, { ...options, isGrowing: options.isGrowing && index === items.length - 1 }));
  return start === null ? h("ul", {}, list) : h("ol", start === 1 ? {} : { start }, list);
}

function showItem(blocks, isLoose, options) {
  const task = blocks[0]?.type === "paragraph" && TASK.exec(blocks[0].text);
  if (task) blocks = [{ ...blocks[0], text: blocks[0].text.slice(task[0].length) }, ...blocks.slice(1)];
  const content = showBlocks(blocks, options);
  const tight = isLoose ? content : content.flatMap((node) => (node.tagName === "P" ? [...node.childNodes] : [node]));
  const box = task && h("input", { type: "checkbox", disabled: "", "aria-label": task[1] === " " ? "☐" : "☑", ...(task[1] !== " " && { checked: "" }) });
  return h("li", task ? { class: "task" } : {}, box, tight);
}

function showTable({ head, rows, alignments }, options) {
  const cells = (tag, row) =>
    alignments.map((align, at) => h(tag, align ? { class: align } : {}, showInlines(row[at] ?? "", options)));
  return h(
    "div",
    { class: "table", part: "table", tabindex: "0" },
    h("table", {}, h("thead", {}, h("tr", {}, cells("th", head))), h("tbody", {}, rows.map((row) => h("tr", {}, cells("td", row))))),
  );
}
