"""List English words that occur in most texts, and do not indicate a text's topic."""

from __future__ import annotations

_WORDS = """
a about all also an and any are as at be but by call called can could create do does each every extract fill
find for from function generate get give given has have he help her his how i if in into is it its json list
look make me more my of on only or our out please return returns she show so some tell than that the their
them then there these they this to tool us use used user uses using value want was we were what when where
which who why will with would write you your
"""

COMMON_WORDS = frozenset(_WORDS.split())
