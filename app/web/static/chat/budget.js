// Reads what remains of the visitor's budgets. Loaded only if the page shows it.

/** Returns the remainder of the tightest budget, formatted for a language; null if there is none or it may not be read. */
export async function readBudget(client, language) {
  const { limits } = await client.usage().catch(() => ({ limits: [] }));
  const write = (value, options) => new Intl.NumberFormat(language, options).format(Math.max(0, value));
  const left = limits.flatMap(({ microUsd, leftMicroUsd, tokens, leftTokens }) => [
    ...(microUsd ? [{ share: leftMicroUsd / microUsd, words: write(leftMicroUsd / 1e6, { style: "currency", currency: "USD" }) }] : []),
    ...(tokens ? [{ share: leftTokens / tokens, words: `${write(leftTokens)} tokens` }] : []),
  ]);
  return left.sort((one, other) => one.share - other.share)[0]?.words ?? null;
}
