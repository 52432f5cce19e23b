"""docs/data.md names commands, options, settings and figures as they are."""

from __future__ import annotations

import json
import re
from dataclasses import fields

from app.billing.exports.focus import COLUMNS
from app.billing.ledger.tables import entries
from app.billing.outbox.posting import TIMEOUT_S
from app.billing.outbox.queue import LEASE_S, WAITS_S
from app.billing.outbox.webhook import describe
from app.billing.reconciliation.compare import Parts
from app.cli.data.retention.pruning import ROWS_AT_ONCE
from app.config import Config
from tests.fakes.servers import ROOT

PAGE = (ROOT / "docs" / "data.md").read_text("utf-8")


def test_its_commands_and_their_options_exist(app):
    runner = app.test_cli_runner()
    named = set(re.findall(r"(?:`|^|bin/)flask ((?:[a-z]+ ?){1,2})((?:--[a-z]+)?)", PAGE, re.MULTILINE))
    assert len(named) > 8
    for words, option in named:
        shown = runner.invoke(args=[*words.split(), "--help"])
        assert shown.exit_code == 0, words
        assert option in shown.output


def test_its_settings_exist():
    names = {field.name.upper() for field in fields(Config)} | {"UNPRICED", "ESTIMATED", "ELSEWHERE", "UNKNOWN"}
    assert not set(re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE)) - names


def test_its_example_has_the_fields_of_a_webhook():
    entry = {column.name: 0 for column in entries.columns}
    told = describe(entry)
    (example,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))

    assert list(example) == list(told)
    assert list(example["data"]) == list(told["data"])


def test_its_figures_are_those_of_the_code():
    waits = "5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h and 8 h"
    units = {"s": 1, "min": 60, "h": 3600}
    assert waits in " ".join(PAGE.split())
    assert tuple(int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)", waits)) == WAITS_S
    assert f"It deletes {ROWS_AT_ONCE} rows at a time" in PAGE
    assert LEASE_S == 300
    assert "five minutes later" in " ".join(PAGE.split())
    assert f"within {TIMEOUT_S:.0f} seconds" in " ".join(PAGE.split())


def test_its_causes_and_columns_are_those_of_the_code():
    assert re.findall(r"^\| ([A-Z]+) \|", PAGE, re.MULTILINE) == [name.upper() for name in Parts.__slots__]
    assert {"x_Unpriced", "x_Estimated", "SubAccountId", "SkuId", "Tags", "BillingAccountId"} <= set(COLUMNS)
