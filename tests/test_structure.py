from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "app").rglob("*.py"))
OWN_PYTHON = [*FILES, ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"]

# Each part of app/ may import from itself and from the layers above its own line, not from its neighbours.
# A folder of a part that has a place of its own is a part as well.
LAYERS = [
    "problems frozen config upstream_http",
    "runtime",
    "json_schema media storage storage.shared_state storage.database",
    "models prompts auth",
    "offline_model",
    "openai_service",
    "billing.ledger tools",
    "limits batches safety observability",
    "billing",
    "services",
    "web cli",
    "__init__ __main__",
]
LAYER_OF = {part: number for number, layer in enumerate(LAYERS) for part in layer.split()}
ORDER = list(LAYER_OF)


def offending(faults_of, files=FILES):
    """What a rule finds fault with, by the file's name: all of it, so that one run shows all that is to do."""
    found = {str(file.relative_to(ROOT)): list(faults_of(file)) for file in files}
    return {name: faults for name, faults in found.items() if faults}


@dataclass(frozen=True)
class Facts:
    """What the rules ask of a file."""

    docstring: str | None
    is_empty: bool
    imports: list[str]
    """The dotted names that it imports, wherever in it the import stands."""


@cache
def facts_of(file):
    tree = ast.parse(file.read_text())
    imports = []
    for node in statements_of(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            imports += [f"{node.module}.{alias.name}" for alias in node.names]
    return Facts(ast.get_docstring(tree), not tree.body, imports)


def statements_of(tree):
    """Each statement of a file, and what divides them, without the expressions in them: ast.walk() takes five times as long."""
    nodes = [tree]
    for node in nodes:  # which grows meanwhile
        for name in ("body", "handlers", "cases", "orelse", "finalbody"):
            nodes += getattr(node, name, ())
    return nodes


def imports_of(file):
    return facts_of(file).imports


@cache
def part_of(dotted):
    """`app.web.schemas.chat.ChatRequest` is of the part `web`; a name of the factory's own of `__init__`."""
    names = dotted.split(".")[1:]
    if ".".join(names[:2]) in LAYER_OF:
        return ".".join(names[:2])
    is_part = (ROOT / "app" / names[0]).is_dir() or (ROOT / "app" / f"{names[0]}.py").exists()
    return names[0] if is_part else "__init__"


def test_imports_point_one_way():
    def faults_of(file):
        part = part_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
        if part not in LAYER_OF:
            return [f"{part} needs a place in LAYERS"]
        others = [
            dotted for dotted in imports_of(file) if dotted.split(".")[0] == "app" and part_of(dotted) != part
        ]
        return [dotted for dotted in others if LAYER_OF[part_of(dotted)] >= LAYER_OF[part]]

    assert not offending(faults_of)


def test_only_the_service_knows_openai():
    def faults_of(file):
        if file == sdk:
            return []
        imported = {dotted for dotted in imports_of(file) if dotted.split(".")[0] == "openai"}
        if "openai_service" not in file.parts:
            ours = {dotted for dotted in imports_of(file) if dotted.startswith("app.")}
            imported |= {dotted for dotted in ours if "sdk" in dotted.split(".")}
        return sorted(imported)

    sdk = ROOT / "app" / "openai_service" / "transport" / "sdk.py"
    assert "openai" in imports_of(sdk)
    assert not offending(faults_of)


@pytest.mark.parametrize("part", ["limits", "openai_service", "offline_model"])
def test_what_stands_below_the_web_knows_nothing_of_flask(part):
    def faults_of(file):
        return [dotted for dotted in imports_of(file) if dotted.split(".")[0] in {"flask", "flask_cors"}]

    files = list((ROOT / "app" / part).rglob("*.py"))
    assert files
    assert not offending(faults_of, files)


def test_only_the_config_reads_the_environment():
    def faults_of(file):
        text = file.read_text()
        imported = set(imports_of(file)) & {"os.environ", "os.getenv"}
        return [*imported, *re.findall(r"os\.environ|\.(?:environb|getenv|putenv)\b", text)]

    allowed = ROOT / "app" / "config" / "settings.py"
    assert faults_of(allowed), "a rule that finds nothing there finds nothing anywhere"
    assert not offending(faults_of, [file for file in OWN_PYTHON if file != allowed])


def test_no_file_is_too_long_to_be_read_at_once():
    def faults_of(file):
        lines = len(file.read_text().splitlines())
        return [f"{lines} lines"] if lines > 300 else []

    assert not offending(faults_of)


def test_every_file_says_what_it_is_for():
    def faults_of(file):
        facts = facts_of(file)
        return [] if facts.docstring or facts.is_empty else ["no docstring"]

    assert not offending(faults_of)


def test_no_folder_has_too_many_files_to_be_seen_at_once():
    tops = ["app", "bench", "chaos", "server", "supply_chain", "tests"]
    installed = {"node_modules", ".venv"}  # by `make clients` and `make audit`
    folders = {
        file.parent for top in tops for file in (ROOT / top).rglob("*.py") if not installed & set(file.parts)
    }

    counts = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert counts["app/openai_service"]
    assert counts["tests/web/routes"]
    assert not {name: count for name, count in counts.items() if count > 15}
    assert len(list((ROOT / "app").glob("*.py"))) <= 8


def test_the_http_client_below_the_sdk_knows_nothing_of_openai():
    for file in (ROOT / "app" / "upstream_http").rglob("*.py"):
        assert not {dotted for dotted in imports_of(file) if dotted.split(".")[0] in {"app", "openai"}} - {
            dotted for dotted in imports_of(file) if dotted.startswith("app.upstream_http")
        }


def unlisted_files(init):
    """The files of a package that its docstring leaves out, if it lists any."""
    text = facts_of(init).docstring or ""
    folders = {path.parent.name for path in init.parent.glob("*/__init__.py")}
    files = ({path.stem for path in init.parent.glob("*.py")} | folders) - {"__init__", "__main__"}
    if files & set(re.findall(r"^ *(?:- )?`?(\w+)", text, re.MULTILINE)):
        yield from sorted(file for file in files if not re.search(rf"\b{file}\b", text))


def test_a_package_that_says_what_is_in_its_files_leaves_none_out():
    assert not offending(unlisted_files, [*ROOT.glob("app/**/__init__.py"), *ROOT.glob("server/**/__init__.py")])


def test_no_merge_has_left_its_marks():
    kinds = {".py", ".md", ".js", ".mjs", ".css", ".html", ".toml", ".yml", ".sql", ".sh", ".conf", ".service"}
    folders = ("app", "server", "docs", "tests", "bench", "chaos", "deploy", "examples", "tools", "prompts")
    texts = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    texts = [path for path in texts if not {"node_modules", ".venv"} & set(path.parts)]
    texts += [path for path in ROOT.iterdir() if path.suffix in kinds]

    assert len(texts) > 1000
    assert not [path for path in texts if re.search(r"^([<>|])\1{6} ", path.read_text("utf-8"), re.MULTILINE)]
