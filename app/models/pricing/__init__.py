"""Price tokens, in integer micro-dollars.

- `catalog`: `Prices`, from genai-prices or the site's own price file.
- `price_file`: parses that file. `rates`: a model's prices per token.
- `tool_prices`: prices of calls of the tools that run at OpenAI.
- `interface`: the `PriceList` protocol, and `FreePrices` of the offline model.
- `money`: converts between dollars and micro-dollars.
- `savings`: computes what the upstream's prompt cache saved.
"""
