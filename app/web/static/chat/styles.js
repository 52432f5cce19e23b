// The styles. A page themes them by custom properties (--gh-…) and parts; `all: initial` stops inheritance from the page.

const CSS = `
:host { display: block; block-size: min(576px, 85dvh) }
:host([mode=floating]) { block-size: auto }
:host([hidden]) { display: none }
.root {
  all: initial;
  color-scheme: inherit;
  --bg: var(--gh-surface, light-dark(#fff, #1d2024));
  --field: var(--gh-bg, light-dark(#f6f6f4, #15171a));
  --text: var(--gh-text, light-dark(#1d1f23, #e7e8ea));
  --muted: var(--gh-muted, light-dark(#5b6068, #a3a9b2));
  --line: var(--gh-line, light-dark(#dcddda, #343940));
  --edge: var(--gh-edge, light-dark(#85898f, #777f8a));
  --accent: var(--gh-accent, light-dark(#1d57b5, #8bb6ff));
  --on-accent: var(--gh-accent-text, light-dark(#fff, #0b1a33));
  --tint: var(--gh-tint, light-dark(#e8effb, #22314a));
  --danger: var(--gh-danger, light-dark(#b3261e, #ff9a90));
  --warn: var(--gh-warn, light-dark(#8a5a00, #e6b450));
  --radius: var(--gh-radius, 8px);
  --s1: var(--gh-space-1, 4px); --s2: var(--gh-space-2, 8px); --s3: var(--gh-space-3, 12px); --s4: var(--gh-space-4, 16px); --s5: var(--gh-space-5, 24px);
  --mono: var(--gh-mono, ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace);
  --small: .875em;
  display: block;
  box-sizing: border-box;
  block-size: 100%;
  max-block-size: 100dvh;
  color: var(--text);
  font: medium/1.5 var(--gh-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);
  text-align: start;
  -webkit-text-size-adjust: 100%;
}
:host([theme=light]) .root { color-scheme: light }
:host([theme=dark]) .root { color-scheme: dark }
:host([theme=auto]) .root { color-scheme: light dark }
*, ::before, ::after { box-sizing: border-box }
[hidden], .root:not([data-files]) .attach { display: none !important }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
svg { inline-size: 20px; block-size: 20px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; display: block }
button { font: inherit; color: inherit; background: none; border: 0; border-radius: var(--radius); padding: var(--s1) var(--s2); cursor: pointer }
button:hover { background: var(--tint) }
button:disabled { opacity: .5; cursor: default; background: none }
.icon { display: grid; place-items: center; flex: none; inline-size: 36px; block-size: 36px; padding: 0 }
.main { background: var(--accent); color: var(--on-accent) }
.main:hover, .main:disabled { background: var(--accent) }
.main [d^="M6 6h"] { fill: currentColor }
.main:hover { filter: brightness(1.1) }

.panel { position: relative; display: flex; flex-direction: column; block-size: 100%; overflow: hidden; background: var(--bg); border: 1px solid var(--line); border-radius: calc(var(--radius) * 1.5) }
header { display: flex; align-items: center; gap: var(--s1); padding: var(--s2); padding-inline-start: var(--s4); border-block-end: 1px solid var(--line) }
.notice .icon svg { inline-size: 16px; block-size: 16px }
header div { flex: 1; min-inline-size: 0 }
h2 { margin: 0; font-size: 1em; font-weight: 600 }
.disclosure { margin: 0; color: var(--muted); font-size: var(--small); line-height: 1.35 }
.log { flex: 1; min-block-size: 0; overflow-y: auto; overscroll-behavior: contain; padding: var(--s4); display: flex; flex-direction: column; gap: var(--s4) }
.log:focus-visible { outline-offset: -2px }
.greeting { margin: auto; text-align: center; color: var(--muted); font-size: 1.125em }

article { display: flex; flex-direction: column; gap: var(--s1); max-inline-size: 100%; overflow-wrap: anywhere }
.user { align-self: flex-end; align-items: flex-end; max-inline-size: 85% }
.user .text { padding: var(--s2) var(--s3); background: var(--tint); border-radius: calc(var(--radius) * 1.5); border-end-end-radius: var(--s1) }
.plain { white-space: pre-wrap }
.note { color: var(--muted); font-size: var(--small) }
.tool { display: flex; gap: var(--s2); align-items: center }
.tool::before, .typing::before { content: ""; flex: none; inline-size: 8px; block-size: 8px; border-radius: 50%; background: var(--muted) }
.tool[data-status=failed] { color: var(--danger) }
.typing { display: flex; align-items: center; gap: var(--s2); color: var(--muted); font-size: var(--small) }
.actions { display: flex; gap: var(--s1); margin-inline-start: calc(var(--s2) * -1); color: var(--muted) }
.actions button { inline-size: 32px; block-size: 32px }
.actions svg { inline-size: 16px; block-size: 16px }

.files { display: flex; flex-wrap: wrap; gap: var(--s2) }
.file { display: flex; align-items: center; gap: var(--s2); max-inline-size: 224px; padding: var(--s1); border: 1px solid var(--line); border-radius: var(--radius); font-size: var(--small); color: var(--muted) }
.file canvas { inline-size: 40px; block-size: 40px; object-fit: cover; border-radius: calc(var(--radius) / 2) }
.file span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.file button { inline-size: 28px; block-size: 28px }

.latest { position: absolute; inset-inline: 0; inset-block-end: 100%; margin: 0 auto var(--s2); background: var(--bg); border: 1px solid var(--line); border-radius: 50% }
.foot { position: relative; padding: 0 var(--s3) var(--s2); display: grid; gap: var(--s2) }
.notice { display: flex; align-items: center; gap: var(--s1); padding: var(--s1); padding-inline-start: var(--s3); min-block-size: 44px; border: 1px solid var(--line); border-inline-start: 3px solid var(--danger); border-radius: var(--radius); font-size: var(--small); font-variant-numeric: tabular-nums }
.notice.calm { border-inline-start-color: var(--warn) }
.notice p { margin: 0; flex: 1 1 0; overflow-wrap: anywhere }
.notice > :not(p) { color: var(--accent); font-weight: 600 }
.composer { display: grid; gap: var(--s2); padding: var(--s1); border: 1px solid var(--edge); border-radius: calc(var(--radius) * 1.5); background: var(--field) }
.composer:focus-within { outline: 2px solid var(--accent); outline-offset: -1px }
.line { display: flex; align-items: flex-end; gap: var(--s1) }
.files:not(:empty) { padding: var(--s1) }
.files:empty { display: none }
textarea { flex: 1; min-inline-size: 0; field-sizing: content; min-block-size: 36px; max-block-size: 160px; padding: 6px var(--s2); border: 0; outline: 0; background: none; color: inherit; font: inherit; resize: none }
textarea:focus-visible { outline: 0 }
textarea::placeholder { color: var(--muted); opacity: 1 }
.allowance { color: var(--muted); font-size: .75em; text-align: center; margin: 0 }
.dropping { position: absolute; inset: var(--s2); z-index: 1; display: grid; place-items: center; background: var(--bg); border: 2px dashed var(--accent); border-radius: var(--radius); color: var(--accent); font-weight: 600 }

.root[popover] { position: fixed; z-index: 2147483647; inset: auto; inset-block-end: var(--s4); inset-inline-end: var(--s4); block-size: auto; inline-size: auto; margin: 0; padding: 0; border: 0; background: none; overflow: visible; display: flex; flex-direction: column; align-items: flex-end; gap: var(--s3) }
.root[popover] .panel { inline-size: min(416px, calc(100vw - 2 * var(--s4))); block-size: min(576px, calc(100dvh - 96px)); box-shadow: 0 8px 32px rgb(0 0 0 / .2) }
.launcher { inline-size: 52px; block-size: 52px; border-radius: 50%; box-shadow: 0 4px 16px rgb(0 0 0 / .25) }
@media (max-width: 480px) {
  .root[popover]:has(.panel:not([hidden])) { inset: 0 }
  .root[popover] .panel { inline-size: 100vw; block-size: 100dvh; border: 0; border-radius: 0 }
  .root[popover]:has(.panel:not([hidden])) .launcher { display: none }
}
@media (prefers-reduced-motion: no-preference) {
  .typing::before, .tool[data-status=running]::before { animation: pulse 1.2s ease-in-out infinite alternate }
}
@keyframes pulse { from { opacity: .25 } }
@media (forced-colors: active) { .user .text, .icon { border: 1px solid } }
`;

const sheets = new Map();

/** Adds styles to a shadow root, from a sheet shared by all elements of a page. Made by script, so no policy must allow it. */
export function adoptStyles(root, css = CSS) {
  if (!sheets.has(css)) sheets.set(css, new CSSStyleSheet());
  const sheet = sheets.get(css);
  if (root.adoptedStyleSheets.includes(sheet)) return;
  sheet.replaceSync(css);
  root.adoptedStyleSheets.push(sheet);
}
