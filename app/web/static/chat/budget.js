// What a visitor's budgets have left; asked for only where a page wants to show it.

/** Returns what is left of the tightest budget, in a language's own way of writing it; null without a budget, or without the right to know. */
export async function readBudget(client, language) {
  const { limits } = await client.usage().catch(() => ({ limits: [] }));
  const write = (value, options) => new Intl.NumberFormat(language, options).format(Math.max(0, value));
  const left = limits.flatMap(({ microUsd, leftMicroUsd, tokens, leftTokens }) => [
    ...(microUsd ? [{ share: leftMicroUsd / microUsd, words: write(leftMicroUsd / 1e6, { style: "currency", currency: "USD" }) }] : []),
    ...(tokens ? [{ share: leftTokens / tokens, words: `${write(leftTokens)} tokens` }] : []),
  ]);
  return left.sort((one, other) => one.share - other.share)[0]?.words ?? null;
}
