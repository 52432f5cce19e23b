"""How many tokens texts are, and how many a model takes."""

from app.token_counts.counting import Count, TokenCounts
from app.token_counts.windows import input_window

__all__ = ["Count", "TokenCounts", "input_window"]
