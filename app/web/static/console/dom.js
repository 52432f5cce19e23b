// Helpers that create the console's elements. They insert text only, never HTML.

export const byId = (id) => document.getElementById(id);

/** Create an element with properties and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Show a list of pairs as a description list. */
export function showPairs(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

export const formatSeconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
export const formatCount = (count) => new Intl.NumberFormat("en").format(count);
