"""Which files are read as tools at start, and what stops it."""

from __future__ import annotations

import pytest

import app.tools
from app.config import Config, ConfigError
from app.tools import ToolContext, load_tools
from app.tools.builtin.clock import current_time
from tests.fakes.servers import ROOT

ORDER = """
from app.tools import tool

@tool
def order_status(order_id: str) -> str:
    '''Look up an order.'''
    return order_id
"""
ANNA = ToolContext("shop", "anna", "r1")


@pytest.fixture
def load(folder):
    def load(*allowed):
        return load_tools(folder, allowed)

    return load


@pytest.fixture
def problems(load):
    def problems(*allowed):
        with pytest.raises(ConfigError) as raised:
            load(*allowed)
        return raised.value.problems

    return problems


def test_the_clock_is_there(load):
    assert list(load().declared) == ["current_time"]


def test_the_folder_that_comes_with_gatehouse_is_there_and_has_no_tools():
    assert (ROOT / Config.tools_dir).is_dir()
    assert list(load_tools(ROOT / Config.tools_dir, ()).declared) == ["current_time"]


def test_a_file_that_is_added_is_all_there_is_to_do(add, load):
    add("orders", ORDER)
    toolbox = load("order_status")
    assert set(toolbox.declared) == {"current_time", "order_status"}
    assert toolbox.allowed == {"order_status"}


def test_tools_dir_names_the_folder(add, folder, make_app):
    add("orders", ORDER)
    app = make_app(tools_dir=str(folder), allowed_tools=("order_status",))
    assert app.test_client().get("/healthz").status_code == 200


def test_the_tools_of_two_folders_do_not_mix(tmp_path, add, load):
    add("orders", ORDER)
    assert "order_status" in load().declared
    other = tmp_path / "other"
    other.mkdir()
    (other / "orders.py").write_text(ORDER.replace("order_status", "order_value"))
    assert set(load_tools(other, ()).declared) == {"current_time", "order_value"}


def test_a_folder_that_is_not_there_has_no_tools(tmp_path):
    assert list(load_tools(tmp_path / "none", ()).declared) == ["current_time"]


def test_a_folder_that_was_named_must_be_there(tmp_path, make_app):
    with pytest.raises(ConfigError, match=r"TOOLS_DIR: there is no folder '.*/none'"):
        make_app(tools_dir=str(tmp_path / "none"))


def test_the_default_folder_need_not_be_there(make_app):
    make_app()  # whose root is an empty directory


def test_what_a_file_imports_from_another_is_not_its_own(add, load):
    add("a_orders", "from .orders import order_status, tool\n")
    add("orders", ORDER)
    assert set(load().declared) == {"current_time", "order_status"}


def test_a_file_for_the_others_is_no_tool_file(add, load):
    add("_stock", ORDER + "STOCK = 'none left'\n")
    add(
        "stock",
        "from app.tools import tool\nfrom ._stock import STOCK\n@tool\ndef stock() -> str:\n    'Look.'\n    return STOCK\n",
    )
    toolbox = load()
    assert set(toolbox.declared) == {"current_time", "stock"}
    assert toolbox.declared["stock"].run("{}", ANNA) == "none left"


def test_files_that_are_no_tools_are_left_alone(folder, load):
    for name in ("README.md", "orders.py.bak", ".hidden.py", "__init__.py", "_helper.py"):
        (folder / name).write_text("raise RuntimeError\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "orders.py").write_text("raise RuntimeError\n")
    assert list(load().declared) == ["current_time"]


def test_a_file_may_have_the_name_of_a_package(add, load):
    add("json", "import json\n" + ORDER.replace("return order_id", "return json.dumps(order_id)"))
    add("order-status", ORDER.replace("order_status", "order_value"))
    toolbox = load()
    assert set(toolbox.declared) == {"current_time", "order_status", "order_value"}
    assert toolbox.declared["order_status"].run('{"order_id": "1"}', ANNA) == '"1"'


def test_only_the_file_itself_is_run_at_start(add, load):
    add("careless", ORDER.replace("return order_id", "raise SystemExit('it was called')"))
    assert "order_status" in load().declared


def test_all_problems_are_told_at_once(add, problems):
    add("broken", "import nothing_of_this_name\n")
    add("typo", "def f(:\n")
    add("hintless", "from app.tools import tool\n@tool\ndef find(order):\n    '''Find.'''\n")
    add("leaving", "raise SystemExit(3)\n")
    add("orders", ORDER)
    add("or.ders", ORDER)
    add("shop", ORDER)
    add("time", ORDER.replace("order_status", "current_time"))
    add("twice", ORDER + "\n".join(ORDER.splitlines()[2:]))
    named, broken, hintless, leaving, *others = problems("order_status", "nonsense")
    assert named == (
        "TOOLS_DIR: or.ders.py: its name, without .py, must be 1 to 64 letters, digits, underscores or hyphens."
    )
    assert broken.startswith(
        "TOOLS_DIR: broken.py: cannot be imported: ModuleNotFoundError: No module named 'nothing_"
    )
    assert broken.endswith("broken.py, line 1).")
    assert hintless == "TOOLS_DIR: hintless.py: find: the parameter order has no type annotation."
    assert leaving.startswith("TOOLS_DIR: leaving.py: cannot be imported: SystemExit: 3 (")
    assert others[0] == "TOOLS_DIR: shop.py: order_status: orders.py has a tool with this name too."
    assert (
        others[1] == "TOOLS_DIR: time.py: current_time: app/tools/builtin/clock.py has a tool with this name too."
    )
    assert others[2] == "TOOLS_DIR: twice.py: order_status: this file has another tool with this name."
    assert others[3].startswith("TOOLS_DIR: typo.py: cannot be imported: SyntaxError: ")
    assert others[3].endswith("(typo.py, line 1).")
    assert others[4:] == ["ALLOWED_TOOLS: there is no tool 'nonsense'."]


def test_an_allowed_tool_that_is_not_there_stops_the_start(make_app):
    with pytest.raises(ConfigError, match="ALLOWED_TOOLS: there is no tool 'nonsense'"):
        make_app(allowed_tools=("nonsense",))


@pytest.mark.parametrize("zone", ["Europe/Oslo", "UTC", "America/Argentina/Buenos_Aires"])
def test_the_clock_tells_the_time_of_a_zone(zone):
    now = current_time(zone)
    assert list(now) == ["date", "weekday", "time", "utc_offset"]
    assert (now["utc_offset"] == "+0000") is (zone == "UTC")


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", "Europe/", "Europe/Oslo\0"])
def test_the_clock_knows_no_other_zones(zone):
    with pytest.raises(app.tools.ToolError):
        current_time(zone)
