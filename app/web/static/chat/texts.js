// The texts of the interface, in several languages. A page can replace each of them: see docs/component.md.

import { words as english } from "./texts/en.js";

export const TEXT_NAMES = Object.keys(english);

const OTHERS = ["de", "fr", "es", "zh"];

/** Returns the texts of the first supported language of a list; English if there is none or it cannot be loaded. */
export async function loadWords(wishes) {
  const languages = wishes.map((wish) => wish?.slice(0, 2).toLowerCase());
  const language = languages.find((each) => each === "en" || OTHERS.includes(each)) ?? "en";
  const { words } = language === "en" ? {} : await import(`./texts/${language}.js`).catch(() => ({}));
  return words ? { language, words } : { language: "en", words: english };
}

/** Returns a function that returns a text by name, with `{…}` filled in. `replace` returns the page's own text, if any. */
export function createTexts(words, replace) {
  return (name, values = {}) => (replace(name) || words[name]).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}
