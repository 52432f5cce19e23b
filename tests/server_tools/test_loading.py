"""Which files of app/tools are read at start, and what stops it."""

from __future__ import annotations

import pytest

import app.tools
from app.config import ConfigError
from app.server_tools import load_tools
from app.tools.clock import current_time

ORDER = """
from app.tools import tool

@tool
def order_status(order_id: str) -> str:
    '''Look up an order.'''
    return order_id
"""


def faults(*allowed):
    with pytest.raises(ConfigError) as raised:
        load_tools(allowed)
    return raised.value.faults


def test_the_clock_is_there():
    assert list(load_tools(()).declared) == ["current_time"]


def test_a_file_that_is_added_is_all_there_is_to_do(add):
    add("orders", ORDER)
    toolbox = load_tools(("order_status",))
    assert set(toolbox.declared) == {"current_time", "order_status"}
    assert toolbox.allowed == {"order_status"}


def test_what_a_file_imports_from_another_is_not_its_own(add):
    add("a_orders", "from app.tools.orders import order_status, tool\n")
    add("orders", ORDER)
    assert set(load_tools(()).declared) == {"current_time", "order_status"}


def test_all_faults_are_told_at_once(add):
    add("broken", "import nothing_of_this_name\n")
    add("typo", "def f(:\n")
    add("hintless", "from app.tools import tool\n@tool\ndef find(order):\n    '''Find.'''\n")
    add("orders", ORDER)
    add("shop", ORDER)
    add("twice", ORDER + "\n".join(ORDER.splitlines()[2:]))
    first, *others = faults("order_status", "nonsense")
    assert first.startswith(
        "app/tools/broken.py: cannot be imported: ModuleNotFoundError: No module named 'nothing_"
    )
    assert first.endswith("broken.py, line 1).")
    assert others[0] == "app/tools/hintless.py: find: the parameter order has no type annotation."
    assert others[1] == "app/tools/shop.py: order_status: orders.py has a tool of this name as well."
    assert others[2] == "app/tools/twice.py: order_status: this file has another tool of this name."
    assert others[3].startswith("app/tools/typo.py: cannot be imported: SyntaxError: ")
    assert others[4:] == ["ALLOWED_TOOLS: app/tools has no 'nonsense'."]


def test_an_allowed_tool_that_is_not_there_stops_the_start(make_app):
    with pytest.raises(ConfigError, match="ALLOWED_TOOLS: app/tools has no 'nonsense'"):
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
