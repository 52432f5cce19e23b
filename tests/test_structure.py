from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "app").rglob("*.py"))
IDS = [str(file.relative_to(ROOT)) for file in FILES]
OWN_PYTHON = [*FILES, ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"]

# Each part of app/ may import from itself and from those before it.
ORDER = [
    "nesting",
    "schema_refs",
    "in_thread",
    "images",
    "shared_state",
    "offline_model",
    "config",
    "token_counts",
    "prompts",
    "openai_service",
    "lifecycle",
    "stream_slots",
    "rate_limits",
    "token_rates",
    "model_notices",
    "logging_config",
    "request_context",
    "origins",
    "ledger",
    "batches",
    "auth",
    "budgets",
    "admission",
    "schemas",
    "server_tools",
    "tools",
    "errors",
    "extensions",
    "draining",
    "visitor",
    "metering",
    "web",
    "wire",
    "blueprints",
    "text_table",
    "prompt_commands",
    "batch_commands",
    "cli",
    "__init__",
]
each_file = pytest.mark.parametrize("file", FILES, ids=IDS)


def imports_of(file):
    """The dotted names that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(dotted):
    """`app.schemas.chat.ChatRequest` is of the part `schemas`; a name of the factory's own of `__init__`."""
    name = dotted.split(".")[1]
    return name if (ROOT / "app" / name).is_dir() or (ROOT / "app" / f"{name}.py").exists() else "__init__"


@each_file
def test_imports_point_one_way(file):
    part = file.relative_to(ROOT / "app").parts[0].removesuffix(".py")
    assert part in ORDER, f"{part} needs a place in ORDER"

    for dotted in imports_of(file):
        if dotted.split(".")[0] == "app":
            imported = part_of(dotted)
            assert ORDER.index(imported) <= ORDER.index(part), f"{part} imports {dotted}"


@each_file
def test_only_the_service_knows_openai(file):
    if "openai_service" not in file.parts:
        assert "openai" not in {dotted.split(".")[0] for dotted in imports_of(file)}


@pytest.mark.parametrize("part", ["openai_service", "offline_model"])
def test_the_service_and_the_offline_model_know_nothing_of_flask(part):
    for file in (ROOT / "app" / part).rglob("*.py"):
        assert not {"flask", "flask_cors"} & {dotted.split(".")[0] for dotted in imports_of(file)}, file


@pytest.mark.parametrize("file", OWN_PYTHON, ids=lambda file: file.name)
def test_only_the_config_reads_the_environment(file):
    if file in (ROOT / "app" / "config" / "config.py", ROOT / "gunicorn.conf.py"):
        return
    names = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
    assert not names & {"environb", "getenv", "putenv"}
    assert not {"os.environ", "os.getenv"} & set(imports_of(file))
    assert "os.environ" not in file.read_text()


@each_file
def test_no_file_is_too_long_to_be_read_at_once(file):
    assert len(file.read_text().splitlines()) <= 300


@each_file
def test_every_file_says_what_it_is_for(file):
    tree = ast.parse(file.read_text())
    assert not tree.body or ast.get_docstring(tree)
