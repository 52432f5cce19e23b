"""Count, bound and estimate tokens.

- `usage`: `Usage`, the token counts that the upstream reports.
- `counting`, `encodings`: count a text's tokens with tiktoken, or bound them by bytes.
- `windows`: a model's context window.
- `estimates`: bounds and estimates of a request's tokens.
"""

from app.token_counts.counting import Count, TokenCounts
from app.token_counts.usage import FIGURES, Figures, Usage, get_figures
from app.token_counts.windows import cap_input, find_input_window, find_window

__all__ = [
    "FIGURES",
    "Count",
    "Figures",
    "TokenCounts",
    "Usage",
    "cap_input",
    "find_input_window",
    "find_window",
    "get_figures",
]
