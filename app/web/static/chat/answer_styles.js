// The styles of rendered Markdown; see styles.js.

export const ANSWER_CSS = `
.text > * { margin-block: 0 }
.text > * + * { margin-block-start: var(--s3) }
.text :is(h3, h4, h5, h6) { font-size: 1em; line-height: 1.35 }
.text h3 { font-size: 1.25em }
.text h4 { font-size: 1.125em }
:is(ul, ol) { padding-inline-start: var(--s5); margin-block: 0 }
li + li, li > :is(ul, ol), li > p + p { margin-block-start: var(--s1) }
li > p { margin-block: 0 }
li > :is(div, blockquote) { margin: var(--s2) 0 }
.task { list-style: none; margin-inline-start: calc(var(--s5) * -1) }
.task input { margin: 0; margin-inline-end: var(--s2); accent-color: var(--accent) }
blockquote { margin-inline: 0; padding-inline-start: var(--s3); border-inline-start: 3px solid var(--line); color: var(--muted) }
blockquote > * { margin-block: 0 }
hr { inline-size: 100%; border: 0; border-block-start: 1px solid var(--line) }
a { color: var(--accent) }
code { font: .875em/1.5 var(--mono) }
:not(pre) > code { padding: 1px var(--s1); background: var(--field); border-radius: var(--s1) }
.code, .table { border: 1px solid var(--line); border-radius: var(--radius); overflow: hidden }
.code { background: var(--field) }
.bar { display: flex; justify-content: space-between; align-items: center; padding: 0 var(--s1); padding-inline-start: var(--s3); color: var(--muted); font-size: var(--small); border-block-end: 1px solid var(--line) }
pre { margin: 0; padding: var(--s3); overflow-x: auto; overflow-wrap: normal; tab-size: 4 }
.table { overflow-x: auto; inline-size: fit-content; max-inline-size: 100%; margin-inline-end: auto }
table { border-collapse: collapse; overflow-wrap: normal }
:is(th, td) { padding: var(--s1) var(--s3); text-align: start; vertical-align: top; max-inline-size: 384px }
th { background: var(--field); font-weight: 600 }
td { border-block-start: 1px solid var(--line) }
.end { text-align: end }
.center { text-align: center }
`;
