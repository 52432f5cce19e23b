"""`flask prompts`: list the stored prompts."""

from __future__ import annotations

import json

import click
from flask.cli import with_appcontext

from app.cli.table import print_table
from app.prompts import Prompt
from app.services import services


@click.command("prompts")
@with_appcontext
def prompts() -> None:
    """List the stored prompts, with their variables and settings.

    A variable in brackets is optional; a value after = is its default.
    """
    built = services()
    stored = built.prompts.stored
    if not stored:
        click.echo(f"There are no prompts. A prompt is a file such as {built.config.prompts_dir}/support.toml")
        return
    print_table(
        ("NAME", "VARIABLES", "MODEL", "TEMPERATURE", "MAX TOKENS", "TOOLS", "SCHEMA"),
        [(name, *_format_row(prompt)) for name, prompt in stored.items()],
    )


def _format_row(prompt: Prompt) -> tuple[str, ...]:
    settings = (prompt.model, prompt.temperature, prompt.max_tokens)
    return (
        " ".join(_format_variables(prompt)) or "-",
        *("-" if setting is None else str(setting) for setting in settings),
        ",".join(prompt.tools or ()) or "-",
        prompt.answer_schema or "-",
    )


def _format_variables(prompt: Prompt) -> list[str]:
    texts = []
    for name, variable in prompt.variables.items():
        if variable.default is not None:
            texts.append(f"{name}={json.dumps(variable.default, ensure_ascii=False)}")
        else:
            texts.append(name if variable.is_required else f"[{name}]")
    return texts
