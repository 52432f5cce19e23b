"""The SDK as it is loaded: without the types that nothing uses, and with all of them for who does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.openai_service.transport.sdk import _find_sources

ROOT = Path(__file__).parents[3]


def run(code: str) -> None:
    """Run code in a process in which nothing has imported the SDK."""
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_few_modules_of_types_are_loaded_with_the_application() -> None:
    run("""
import sys
import app
loaded = [name for name in sys.modules if name.startswith("openai.types")]
assert len(loaded) < 80, loaded
""")


def test_every_name_of_every_package_of_types_is_what_the_package_itself_would_have_made_it() -> None:
    run("""
import importlib, pathlib, pkgutil
from app.openai_service.transport import sdk
import openai.types
checked = 0
for found in [None, *pkgutil.walk_packages(openai.types.__path__, "openai.types.")]:
    if found is not None and not found.ispkg:
        continue
    package = openai.types if found is None else importlib.import_module(found.name)
    assert isinstance(package.__spec__.loader, sdk._LazyPackage), package
    made = {"__name__": package.__name__, "__package__": package.__name__}
    exec(pathlib.Path(package.__file__).read_text(), made)
    names = set(made) - {"__name__", "__package__", "__builtins__", "annotations"}
    assert names == set(package.__all__), package
    for name in names:
        assert getattr(package, name) is made[name], (package, name)
        checked += 1
assert checked > 1000
""")


def test_a_name_that_a_package_of_types_lacks_is_an_ordinary_error() -> None:
    run("""
from app.openai_service.transport.sdk import openai
try:
    openai.types.chat.Nothing
except AttributeError as error:
    assert "Nothing" in str(error)
else:
    raise AssertionError
try:
    from openai.types.chat import Nothing
except ImportError:
    pass
else:
    raise AssertionError
""")


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
