from __future__ import annotations

import importlib.util
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from openai.types.shared import chat_model, responses_model

from app.models.families import catalog, find_family

GROUPS = tomllib.loads(Path(catalog.__file__).with_name("families.toml").read_text(encoding="utf-8"))["groups"]
# Models of access programs, which nobody can call without one, and a name that the SDK says was never served.
UNSERVED = re.compile(r"gpt-daybreak-.*|.*-cyber|gpt-rosalind-research|gpt-6-rosalind|gpt-5\.1-mini")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-6.1-terra", "gpt-6.1-terra"),
        ("gpt-6.1-terra-2026-10-01", "gpt-6.1-terra"),
        ("gpt-5.4-2026-03-17", "gpt-5.4"),
        ("gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4-0125-preview", "gpt-4-0125-preview"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("ft:gpt-4.1:acme::B7x", "gpt-4.1"),
        ("ft:gpt-4.1-mini-2025-04-14:acme:mine:B7x", "gpt-4.1-mini"),
    ],
)
def test_snapshots_and_fine_tunes_belong_to_their_family(model, family):
    assert find_family(model).name == family


@pytest.mark.parametrize(
    "model",
    [
        "",
        "offline",
        "my-deployment",
        "llama3",
        "gpt-60",
        "gpt-6.1-terrax",
        "gpt-4o-mini-x",
        "openai/gpt-4o",
        "ft:",
        "ft:x:y",
    ],
)
def test_other_names_have_no_family(model):
    assert find_family(model) is None


def test_a_family_is_found_again_without_a_search():
    assert find_family("gpt-6-sol") is find_family("gpt-6-sol")


OLD = ("low", "medium", "high")
NEW = ("none", "low", "medium", "high", "xhigh")
TWICE = ("without_reasoning", "without_reasoning")


@pytest.mark.parametrize(
    ("models", "rules"),
    [
        ("gpt-4o gpt-4.1", ((), (), None, "yes", "yes", True, ("medium",), False)),
        ("o3", (OLD, (), "medium", "yes", "never", False, ("medium",), False)),
        ("gpt-5 gpt-5-mini gpt-5-nano", (("minimal", *OLD), (), "medium", "yes", "never", False, OLD, False)),
        ("gpt-5.1", (("none", *OLD), (), "none", "yes", "without_reasoning", False, OLD, False)),
        ("gpt-5.2 gpt-5.4 gpt-5.4-mini", (NEW, (), "none", *TWICE, False, OLD, False)),
        ("gpt-5.5", (NEW, (), "medium", *TWICE, False, OLD, False)),
        ("gpt-5.6 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna", (NEW, ("max",), "medium", *TWICE, False, OLD, True)),
        ("gpt-6-sol gpt-6-luna gpt-6.1-terra", (NEW, ("max",), "medium", *TWICE, False, OLD, True)),
        ("gpt-6-astra gpt-6.1-sol", (NEW[1:], ("max",), "medium", "never", "never", False, OLD, True)),
    ],
)
def test_each_family_accepts_what_the_research_found(models, rules):
    efforts, only_responses, default, chat_tools, sampling, stop, verbosities, breakpoints = rules
    for model in models.split():
        family = find_family(model)
        assert family.efforts == efforts
        assert family.responses_efforts == efforts + only_responses
        assert family.default_effort == default
        assert (family.chat_tools, family.sampling) == (chat_tools, sampling)
        assert (family.takes_stop, family.takes_max_tokens) == (stop, sampling == "yes")
        assert (family.verbosities, family.has_cache_breakpoints) == (verbosities, breakpoints)
        assert family.chat
        assert family.responses


def test_every_rule_has_its_source_and_its_date():
    rules = [
        (group, name, rule)
        for group, found in GROUPS.items()
        for name, rule in found.items()
        if name not in ("like", "models")
    ]

    assert len(rules) > 40
    for group, name, rule in rules:
        assert set(rule) == {"value", "source", "date"}, (group, name)
        assert rule["source"], (group, name)
        assert isinstance(rule["date"], date), (group, name)


def test_every_model_that_the_sdk_names_has_a_family():
    *_, only_responses = get_args(responses_model.ResponsesModel)
    chat = set(get_args(chat_model.ChatModel))
    named = chat | set(get_args(only_responses))

    unknown = {model for model in named if find_family(model) is None}
    assert not {model for model in unknown if not UNSERVED.fullmatch(model)}
    assert {model for model in named - chat if model not in unknown and find_family(model).chat} == set()


def test_the_shutdowns_are_those_that_the_installed_sdk_announces():
    source = importlib.util.find_spec("openai.types.shared.chat_model").origin
    notices = re.findall(
        r'- ((?:"[^"]+",?\s*)+):\s+Announced shutdown\s+date:\s+(\d{4}-\d{2}-\d{2})', Path(source).read_text()
    )
    announced = {model: day for models, day in notices for model in re.findall(r'"([^"]+)"', models)}

    assert len(announced) > 60
    known = {model: find_family(model).shutdown for model in get_args(chat_model.ChatModel) if find_family(model)}
    assert {model: day.isoformat() for model, day in known.items() if day} == announced
