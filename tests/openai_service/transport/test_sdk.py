"""The SDK as it is loaded: without the types that nothing uses, and with all of them for who does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.openai_service.transport.sdk import _find_sources, openai

ROOT = Path(__file__).parents[3]


# Compares the names of a package with what its own source makes of them.
COMPARE = """
import importlib, pathlib, pkgutil
from app.openai_service.transport import sdk
import openai.types

def compare(package):
    assert isinstance(package.__spec__.loader, sdk._LazyPackage), package
    made = {"__name__": package.__name__, "__package__": package.__name__}
    exec(pathlib.Path(package.__file__).read_text(), made)
    names = set(made) - {"__name__", "__package__", "__builtins__", "annotations"}
    assert names == set(package.__all__), package
    for name in names:
        assert getattr(package, name) is made[name], (package, name)
    return len(names)
"""


def run(code: str) -> str:
    """Run code in a process in which nothing has imported the SDK, and return what it writes."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What one process sees of the SDK: to start it takes longer than all that is asked of it."""
    code = """
import json, sys
import app
loaded = [name for name in sys.modules if name.startswith("openai.types")]
from app.openai_service.transport.sdk import openai
refused = []
try:
    openai.types.chat.Nothing
except AttributeError as error:
    refused.append(["AttributeError", str(error)])
try:
    from openai.types.chat import Nothing
except ImportError as error:
    refused.append(["ImportError", str(error)])
"""
    packages = "[openai.types, openai.types.chat, openai.types.shared]"
    told = f"""
print(json.dumps({{"loaded": loaded, "refused": refused, "compared": [*map(compare, {packages})]}}))
"""
    answer: dict[str, Any] = json.loads(run(code + COMPARE + told))
    return answer


@pytest.mark.thorough
def test_few_modules_of_types_are_loaded_with_the_application(seen) -> None:
    assert 0 < len(seen["loaded"]) < 80, seen["loaded"]


@pytest.mark.thorough
def test_the_names_of_the_packages_of_types_that_are_loaded_anyway_are_their_own(seen) -> None:
    assert min(seen["compared"]) > 10, seen["compared"]


def test_a_package_of_types_is_lazy_has_its_own_names_and_refuses_others() -> None:
    own: dict[str, Any] = {}
    exec(COMPARE, own)  # compare() also asks whether the package is lazy, so that few modules are loaded

    assert own["compare"](openai.types.shared) > 10
    with pytest.raises(AttributeError, match="Nothing"):
        _ = openai.types.chat.Nothing
    with pytest.raises(ImportError, match="Nothing"):
        from openai.types.chat import Nothing  # noqa: F401


@pytest.mark.thorough
def test_every_name_of_every_package_of_types_is_what_the_package_itself_would_have_made_it() -> None:
    found = run(f"""{COMPARE}
checked = compare(openai.types)
for found in pkgutil.walk_packages(openai.types.__path__, "openai.types."):
    if found.ispkg:
        checked += compare(importlib.import_module(found.name))
print(checked)
""")
    assert int(found) > 1000


@pytest.mark.thorough
def test_a_name_that_a_package_of_types_lacks_is_an_ordinary_error(seen) -> None:
    assert [kind for kind, _ in seen["refused"]] == ["AttributeError", "ImportError"]
    assert all("Nothing" in said for _, said in seen["refused"])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from __future__ import annotations\nfrom .a import B, C as D", {"B": (".a", "B"), "D": (".a", "C")}),
        ("from .a import *", None),
        ("from . import a", None),
        ("from ..a import B", None),
        ("from a import B", None),
        ("import a", None),
        ("x = 1", None),
    ],
)
def test_a_package_is_lazy_only_if_it_does_no_more_than_repeat_names(source, found) -> None:
    assert _find_sources(source.encode()) == found
