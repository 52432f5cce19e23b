"""Count, bound and estimate tokens.

- `usage`: `Usage`, the token counts that the upstream reports.
- `counting`: `TokenCounts`, which counts and bounds tokens for models.
- `encodings`, `vocabulary`: OpenAI's encodings; `model_encodings`: the encoding of each model.
- `windows`: a model's context window.
- `reasoning_bounds`: bounds the tokens of reasoning that is sent back to the model.
- `estimates`: bounds and estimates of a request's tokens.
- `plain_pieces`: estimates of the pieces of a stream, by their shape.
- `shared_files`: files that are written once and mapped by all processes.
"""

from app.models.token_counts.counting import BY_NAME, BYTES, Count, TokenCounts
from app.models.token_counts.reasoning_bounds import REASONING_ITEMS, count_spared_reasoning, note_tokens
from app.models.token_counts.usage import FIGURES, Figures, Usage, get_figures
from app.models.token_counts.windows import cap_input, find_input_window, find_window

__all__ = [
    "BYTES",
    "BY_NAME",
    "FIGURES",
    "REASONING_ITEMS",
    "Count",
    "Figures",
    "TokenCounts",
    "Usage",
    "cap_input",
    "count_spared_reasoning",
    "find_input_window",
    "find_window",
    "get_figures",
    "note_tokens",
]
