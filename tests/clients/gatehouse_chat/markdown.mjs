// Compares what the component shows of Markdown with what marked makes of it, and prints the differences.
import { Window } from "happy-dom";
import { marked } from "marked";

const { document } = new Window();
globalThis.document = document;
const { MarkdownView } = await import("../../../app/web/static/chat/markdown.js");

const SAMPLES = [
  "# A *b* `c` #\ntext **b**",
  "1. one\n   - sub **x**\n   - sub2\n2. two\n\n   para in item\n\n3. three\n```py\nx\n```",
  "- a\n- b\n\ntext",
  "- a\n\n  ```js\n  let x = 1;\n\n    y\n  ```\n- b",
  "| a | b |\n|---|--:|\n| 1 | **2** |\n| `x\\|y` | \\| |\n\nafter",
  "a | b | c\n:-: | - | -\n1 | 2\n3 | 4 | 5 | 6\nend",
  "text with snake_case_word and 2 * 3 * 4 and a*b*c",
  "a < b && c > d \\<b>x\\</b>",
  "[y](https://a.b/c(d)) [z](https://a.b/ \"title\") [*e* `c` x](http://x.y/?a=b&c=d) <https://auto.link/> https://raw.link/x. foo",
  "(see https://en.wikipedia.org/wiki/A_(b)) and https://a.b/c_d_e, ok",
  "> quote\n> more\n>\n> - list\n>   - sub\n\nnot quote",
  "> lazy\ncontinued\n\n> > deep\n> back",
  "line one\nline two  \nhard\\\nharder",
  "---\n\n***\n\na\n\n* * *\n",
  "**bold*it*** ***both*** ~~s~~ **a**b __c__ _d_ **\"q\"** *a **b** c*",
  "~~~\ncode\n~~~\n\n````md\n```js\nx\n```\n````",
  "- [ ] a\n- [x] b **c**",
  "Title\n===\nSub *x*\n---\n",
  "1) a\n2) b",
  "* a\n  * b\n    * c\n\n      para\n* d",
  "5. five\n6. six",
  "**Bold:** text\n* item **b**:\n    - nested\n    - more",
  "a **b and * c _d",
  "`` a ` b `` and ` x ` and `unclosed",
  "    indented code\n      x\n\n    y\n\ntext",
  "text\n- list directly\n- b\ntext lazy\n\n1. x",
  "text\n```js\ncode\n```\nmore",
  "&amp; &lt; &#39; \\*esc\\* \\a",
  "a\n# b\nc\n> d\ne",
  "- a\n\n- b\n\n- c",
  "- one\n\n  two\n- three",
  "1. Step:\n   ```bash\n   ls -la\n   ```\n2. Next:\n\n   | a | b |\n   |---|---|\n   | 1 | 2 |\n\n3. Done",
  "Es ist **wichtig**, dass *das* geht. 这是**重点**内容。",
  "- a\n- b\n* c\n+ d",
  "1. a\n\n   > quote\n\n   b\n2. c",
  "***\ntext *a*b* **c\n\nd** e",
  "## Heading\n\nText right below\n### Next\n- x\n  continued\n\n  more\n\nEnd",
  "*a\nb*\n\n**two\nlines**",
  "[unclosed](http://x and [a] [b](not a link",
  "\\[x\\] \\(y\\) $a_1$ and $b_2$",
  "-\n- a\n-\n\nb",
  "```\nno end\n\n- x",
  "* **A:** b\n\n  c\n* **D:** e\n\n## F",
  "10. ten\n11. eleven\n    - sub\n    - sub\n12. twelve",
  "a\n\n\n\nb\n   c",
  "| only | head |\n| --- | --- |",
  "***a** b* **a *b***",
  "Text:\n1. a\n2. b\n\nText 2\n2. not a list?",
];

const LEFT_OUT = new Set(["THEAD", "TBODY"]);

/** Describes a tree by what both renderers have to agree on. */
function describe(node, shift) {
  if (node.nodeType === 3) return node.data.replace(/\s+/g, " ");
  const inside = (from) => [...from.childNodes].map((child) => describe(child, shift)).join("");
  const tag = node.tagName;
  if (tag === "DIV" || LEFT_OUT.has(tag)) return inside(node);
  if (tag === "BR") return "<br>";
  if (tag === "PRE") return `<pre>${node.textContent.trimEnd()}</pre>`;
  const heading = /^H([1-6])$/.exec(tag);
  const name = heading ? `h${Math.min(Number(heading[1]) + shift, 6)}` : tag.toLowerCase();
  const align = node.getAttribute("align")?.replace("right", "end").replace("left", "") ?? (/^T[HD]$/.test(tag) ? node.className : "");
  const href = node.getAttribute("href");
  const kept = [href && new URL(href).href, node.getAttribute("start"), align, tag === "INPUT" && node.hasAttribute("checked") && "checked"];
  return `<${[name, ...kept.filter(Boolean)].join(" ")}>${inside(node)}</${name}>`;
}

const tidy = (text) => text.replace(/\s*(<\/?(?:h\d|p|ul|ol|li|blockquote|pre|table|tr|t[hd]|hr|br|input)[^>]*>)\s*/g, "$1").trim();

function expected(text) {
  const element = document.createElement("div");
  element.innerHTML = marked.parse(text, { gfm: true, breaks: true });
  return tidy(describe(element, 2));
}

function shown(pieces) {
  const element = document.createElement("div");
  const view = new MarkdownView(element, {});
  pieces.forEach((text, index) => view.update(text, index < pieces.length - 1));
  return tidy(describe(element, 0));
}

const differences = [];
for (const text of SAMPLES) {
  const growing = Array.from({ length: text.length }, (_, at) => text.slice(0, at + 1));
  const [whole, grown, wanted] = [shown([text]), shown([...growing, text]), expected(text)];
  if (whole !== wanted) differences.push({ text, whole, wanted });
  if (grown !== whole) differences.push({ text, grown, whole });
}
process.stdout.write(JSON.stringify({ samples: SAMPLES.length, differences }, null, 1));
