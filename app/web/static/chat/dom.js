// Creates elements. No code of the component parses markup from a string.

/** Creates an element with attributes, listeners (properties that are functions) and children (empty ones are skipped). */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  attach: "M20 11.5 12.2 19a5 5 0 0 1-7-7.1l8.5-8.3a3.3 3.3 0 0 1 4.7 4.7L10 16.5a1.6 1.6 0 0 1-2.3-2.3L15 7",
  send: "M12 20V4m-7 7 7-7 7 7",
  stop: "M6 6h12v12H6z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  again: "M4 12a8 8 0 1 0 2.6-5.9L4 8.5M4 4v4.5h4.5",
  clear: "M4 7h16M9 7V4h6v3m3 0-1 13H7L6 7",
  close: "m6 6 12 12M18 6 6 18",
  chat: "M4 5h16v12H9l-5 4z",
  down: "M12 5v14m-6-6 6 6 6-6",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Creates an icon button with an accessible label. */
export function iconButton(name, label, part, onClick) {
  return h("button", { type: "button", class: "icon", part: `button ${part}`, title: label, "aria-label": label, click: onClick }, icon(name));
}
