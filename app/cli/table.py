"""Print a table of plain text."""

from __future__ import annotations

from collections.abc import Sequence

import click


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, figures: int = 0) -> None:
    """Print a table. The last `figures` columns are numbers, aligned to the right."""
    texts = len(head) - figures
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = zip(row, widths, strict=True)
        aligned = [f"{cell:{'<' if at < texts else '>'}{width}}" for at, (cell, width) in enumerate(cells)]
        click.echo("  ".join(aligned).rstrip())
