"""Count tokens, and look up how many a model accepts."""

from app.token_counts.counting import Count, TokenCounts
from app.token_counts.windows import input_window

__all__ = ["Count", "TokenCounts", "input_window"]
