// Find the position of a value in a JSON text.

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+)/gy;

/**
 * Return [start, end] of the value at a path, or of the last value that can be found on it.
 * @param {string} text valid JSON
 * @param {string[]} path member names and item indexes
 */
export function locate(text, path) {
  const tokens = [...text.matchAll(TOKEN)].map((match) => ({ text: match[1], end: match.index + match[0].length }));
  let at = 0;
  const start = () => tokens[at].end - tokens[at].text.length;

  /** Return the range of the value at `at`, or of the value at a path in it. Moves `at` behind the value. */
  function read(rest) {
    const begin = start();
    const opening = tokens[at++].text;
    let found = null;
    if (opening === "{" || opening === "[") {
      for (let index = 0; !"}]".includes(tokens[at].text); index += 1) {
        const nameAt = start();
        const name = opening === "{" ? JSON.parse(tokens[at].text) : String(index);
        if (opening === "{") at += 2;
        const range = read(name === rest[0] ? rest.slice(1) : []);
        if (name === rest[0]) found = rest.length > 1 || opening === "[" ? range : [nameAt, range[1]];
        if (tokens[at].text === ",") at += 1;
      }
      at += 1;
    }
    return found ?? [begin, tokens[at - 1].end];
  }
  return read(path);
}
