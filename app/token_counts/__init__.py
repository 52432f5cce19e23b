"""Count tokens, look up how many a model accepts, and hold what a call has used."""

from app.token_counts.counting import Count, TokenCounts
from app.token_counts.usage import FIGURES, Figures, Usage, get_figures
from app.token_counts.windows import find_input_window

__all__ = ["FIGURES", "Count", "Figures", "TokenCounts", "Usage", "find_input_window", "get_figures"]
