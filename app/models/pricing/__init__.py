"""Price tokens, in integer micro-dollars.

- `catalog`: `Prices`, from genai-prices or the site's own price file.
- `price_file`: parse that file. `rates`: a model's prices per token.
- `tool_prices`: calls of the tools that run at OpenAI.
- `interface`: the `PriceList` protocol, and `FreePrices` of the offline model.
- `money`: convert micro-dollars.
- `savings`: what the upstream's prompt cache saved.
"""
