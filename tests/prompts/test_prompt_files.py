from __future__ import annotations

import pytest

from app.config import Config, ConfigError
from app.prompts import InvalidVariable, Prompt, read_prompts
from tests.fakes.servers import ROOT
from tests.fakes.tables import each_row

TONE = '[variables.tone]\nchoices = ["kind", "dry"]\ndefault = "kind"\n'


@pytest.fixture
def read(tmp_path):
    """Writes files, given by their names and texts, and reads them as prompts."""

    def read(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_prompts(tmp_path, tools={"clock"}, schemas={"person"})

    return read


def problems_of(read, **files):
    with pytest.raises(ConfigError) as caught:
        read(**files)
    return caught.value.problems


def prompt(text="{{x}}", **variable):
    return Prompt.model_validate({"system": text, "variables": {"x": variable}})


def test_a_prompt_is_read_with_all_that_it_settles(read):
    settings = 'model = "my/model:1"\ntemperature = 0\nmax_tokens = 5\ntools = ["clock"]\nschema = "person"\n'

    kept = read(one=f'system = "Be {{{{ tone }}}}."\n{settings}{TONE}', two='system = "\\n Ж \\n"')

    assert list(kept) == ["one", "two"]
    one, two = kept.values()
    assert (one.model, one.temperature, one.max_tokens) == ("my/model:1", 0, 5)
    assert (one.tools, one.answer_schema) == (["clock"], "person")
    assert one.fill({}) == "Be kind."
    assert one.fill({"tone": "dry"}) == "Be dry."
    assert (two.model, two.temperature, two.max_tokens, two.tools, two.answer_schema) == (None,) * 5
    assert two.fill({}) == "Ж"


def test_a_folder_that_is_not_there_has_no_prompts(tmp_path):
    assert read_prompts(tmp_path / "none", tools=(), schemas=()) == {}


def test_what_is_no_prompt_file_is_left_alone(read, tmp_path):
    (tmp_path / ".#one.toml").symlink_to("nowhere")
    (tmp_path / "one.toml~").write_text("x")
    (tmp_path / "README.md").write_text("x")

    assert list(read(one="\ufeffsystem = 'Hi'\r\n")) == ["one"]


def test_the_prompts_that_come_with_the_program_are_right():
    assert "support" in read_prompts(ROOT / Config.prompts_dir, tools=(), schemas=())


PROBLEMS = {
    "an unknown effort": (
        'system = "Hi"\nreasoning_effort = "huge"',
        "reasoning_effort: should be 'none', 'minimal'",
    ),
    "no tier with a price": ('system = "Hi"\nservice_tier = "scale"', "service_tier: should be 'auto'"),
    "too many stops": ('system = "Hi"\nstop = ["a", "b", "c", "d", "e"]', "stop"),
    "more than all": ('system = "Hi"\ntop_p = 1.5', "top_p: should be less than or equal to 1"),
    "nothing": ("", "the key system is missing"),
    "no TOML": ('system = "Hi"\nmodel = gpt', "is not valid TOML: Invalid value (at line 2, column 9)"),
    "a key twice": ('system = "Hi"\nsystem = "Ho"', "is not valid TOML: Cannot overwrite a value"),
    "not UTF-8": (b'system = "\xff"', "is not in UTF-8"),
    "an unknown key": ('system = "Hi"\nmaxTokens = 5', "there is no key maxTokens"),
    "an unknown key of a variable": (
        'system = "{{x}}"\n[variables.x]\nmaxLength = 5',
        "no key variables.x.maxLength",
    ),
    "a blank text": ('system = " \\n"', "system: must not be empty"),
    "NUL": ('system = "a\\u0000"', "system: must not contain the character NUL"),
    "a number for a text": ("system = 5", "system: should be a valid string"),
    "no model": (
        """system = "Hi"\nmodel = 'a"b'""",
        """model: 'a"b' is not a valid model name""",
    ),
    "too hot": ('system = "Hi"\ntemperature = 2.1', "temperature: should be less than or equal to 2"),
    "no temperature": ('system = "Hi"\ntemperature = nan', "temperature: should be a finite number"),
    "no ceiling": ('system = "Hi"\nmax_tokens = 0', "max_tokens: should be greater than or equal to 1"),
    "a ceiling as text": ('system = "Hi"\nmax_tokens = "5"', "max_tokens: should be a valid integer"),
    "an unknown tool": ('system = "Hi"\ntools = ["clock", "rm"]', "tools: there is no tool 'rm'"),
    "tools that are none": ('system = "Hi"\ntools = "clock"', "tools: should be a valid list"),
    "an unknown schema": ('system = "Hi"\nschema = "cat"', "schema: there is no schema 'cat'"),
    "a place of no variable": ('system = "{{x}}"', "system: {{x}} is not a variable of this prompt"),
    "a variable without a place": (
        'system = "x"\n[variables.x]',
        "variables.x: has no placeholder in the system text",
    ),
    "half a place": ('system = "{{x}"\n[variables.x]', "system: a {{ does not begin a placeholder"),
    "a place with a space": ('system = "{{my shop}}"', "system: a {{ does not begin a placeholder"),
    "no name of a variable": (
        'system = "Hi"\n[variables."my shop"]',
        "variables.my shop: must consist of letters",
    ),
    "an unknown type": ('system = "{{x}}"\n[variables.x]\ntype = "int"', "variables.x.type: should be 'string'"),
    "a default of another type": (
        'system = "{{x}}"\n[variables.x]\ntype = "integer"\ndefault = "1"',
        "variables.x: default: must be a whole number",
    ),
    "a default out of bounds": (
        'system = "{{x}}"\n[variables.x]\ntype = "number"\nmax = 3\ndefault = 3.5',
        "variables.x: default: must be at most 3",
    ),
    "a default that is no choice": (
        'system = "{{x}}"\n[variables.x]\nchoices = ["a"]\ndefault = "b"',
        "variables.x: default: must be one of a",
    ),
    "choices of another type": (
        'system = "{{x}}"\n[variables.x]\nchoices = ["a", 2]',
        "variables.x: choices: each must be a text",
    ),
    "no choices": ('system = "{{x}}"\n[variables.x]\nchoices = []', "variables.x.choices: "),
    "a longest of a number": (
        'system = "{{x}}"\n[variables.x]\ntype = "number"\nmax_length = 3',
        "variables.x: max_length is for texts only",
    ),
    "a least of a text": (
        'system = "{{x}}"\n[variables.x]\nmin = 3',
        "variables.x: min and max are for numbers only",
    ),
    "bounds the wrong way round": (
        'system = "{{x}}"\n[variables.x]\ntype = "number"\nmin = 3\nmax = 2',
        "variables.x: min is more than max",
    ),
    "a default of what is required": (
        'system = "{{x}}"\n[variables.x]\nrequired = true\ndefault = "a"',
        "variables.x: a required variable must not have a default",
    ),
}


@each_row(("text", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_in_a_file_is_told_with_its_name(read, text, problem):
    [told] = problems_of(read, support=text)

    assert told.startswith("PROMPTS_DIR: support.toml: ")
    assert problem in told
    assert told.endswith(".")
    assert told.count(".\n") == 0


def test_all_problems_of_all_files_are_told_at_once(read):
    told = problems_of(
        read, a="", b="x", c='system = "Hi"', d="system = 5\nmax_tokens = 0", e='system="Hi"\ntools=["p", "q"]'
    )

    assert [problem.split()[1] for problem in told] == [
        "a.toml:",
        "b.toml:",
        "d.toml:",
        "d.toml:",
        "e.toml:",
        "e.toml:",
    ]


@pytest.mark.parametrize("name", ["my prompt", "é", "a.b", "x" * 65])
def test_a_file_whose_name_cannot_be_a_prompts_is_told(read, name):
    [problem] = problems_of(read, **{name: 'system = "Hi"'})

    assert problem.startswith(f"PROMPTS_DIR: {name}.toml: a prompt's name has 1 to 64 letters")


def test_a_file_that_cannot_be_read_is_told(read, tmp_path):
    (tmp_path / "folder.toml").mkdir()

    [problem] = problems_of(read)
    assert problem == "PROMPTS_DIR: folder.toml: cannot be read: Is a directory."


def test_the_program_does_not_start_with_a_problem(make_app, tmp_path):
    (tmp_path / "one.toml").write_text('system = "{{x}}"')

    with pytest.raises(ConfigError, match=r"one\.toml: system: \{\{x\}\} is not a variable of this prompt"):
        make_app(prompts_dir=str(tmp_path))


def test_a_value_is_put_in_as_it_is_and_never_looked_into():
    both = Prompt.model_validate({"system": "{{a}}|{{b}}|{{a}}", "variables": {"a": {}, "b": {}}})
    tricky = r"{{b}} {a} %s \1 \g<0> $a ${a} <&>"

    assert both.fill({"a": tricky, "b": "{{a}}"}) == f"{tricky}|{{{{a}}}}|{tricky}"


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ({}, "", ""),
        ({}, "Ж\n 😀", "Ж\n 😀"),
        ({}, "x" * 1_000, "x" * 1_000),
        ({"max_length": 2}, "😀😀", "😀😀"),
        ({"choices": ["a", "b"]}, "b", "b"),
        ({"choices": ["y" * 2_000]}, "y" * 2_000, "y" * 2_000),
        ({"type": "integer"}, -5, "-5"),
        ({"type": "integer", "min": 1, "max": 3}, 3, "3"),
        ({"type": "integer", "choices": [1, 2]}, 2, "2"),
        ({"type": "number"}, 2, "2"),
        ({"type": "number", "min": 0.5}, 0.5, "0.5"),
        ({"type": "boolean"}, True, "true"),
        ({"type": "boolean"}, False, "false"),
    ],
)
def test_a_value_of_the_right_kind_stands_in_the_text(variable, value, text):
    assert prompt("[{{x}}]", **variable).fill({"x": value}) == f"[{text}]"


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ({}, 5, "must be a text"),
        ({}, None, "must be a text"),
        ({}, ["a"], "must be a text"),
        ({}, {"a": "b"}, "must be a text"),
        ({}, True, "must be a text"),
        ({}, "a\0b", "must not contain the character NUL"),
        ({}, "x" * 1_001, "must have at most 1,000 characters"),
        ({"max_length": 2}, "abc", "must have at most 2 characters"),
        ({"choices": ["a", "b"]}, "c", "must be one of a, b"),
        ({"type": "integer"}, 2.5, "must be a whole number"),
        ({"type": "integer"}, 2.0, "must be a whole number"),
        ({"type": "integer"}, True, "must be a whole number"),
        ({"type": "integer"}, "2", "must be a whole number"),
        ({"type": "integer", "min": 1}, 0, "must be at least 1"),
        ({"type": "integer", "max": 3}, 4, "must be at most 3"),
        ({"type": "integer", "choices": [1, 2]}, 3, "must be one of 1, 2"),
        ({"type": "number"}, "2", "must be a number"),
        ({"type": "number"}, False, "must be a number"),
        ({"type": "number"}, float("inf"), "must be a number"),
        ({"type": "boolean"}, 1, "must be true or false"),
        ({"type": "boolean"}, "true", "must be true or false"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_named(variable, value, why):
    with pytest.raises(InvalidVariable) as caught:
        prompt(**variable).fill({"x": value})

    assert str(caught.value) == f"variables.x: {why}."


def test_one_that_must_be_given_is_named_where_it_is_missing():
    with pytest.raises(InvalidVariable, match=r"^Missing variables\.x\.$"):
        prompt().fill({})
    with pytest.raises(InvalidVariable, match=r"^Missing variables\.x\.$"):
        prompt(required=True).fill({})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ({"default": "d"}, "d"),
        ({"default": "d", "required": False}, "d"),
        ({"required": False}, ""),
        ({"type": "boolean", "default": False}, "false"),
        ({"type": "integer", "default": 0}, "0"),
    ],
)
def test_one_that_may_be_left_out_has_its_default(variable, text):
    assert prompt(**variable).fill({}) == text


def test_one_that_the_prompt_has_not_is_refused():
    with pytest.raises(InvalidVariable, match=r"^variables: this prompt has no variable 'y\\x00\\n'\.$"):
        prompt().fill({"x": "a", "y\0\n": "b"})
    with pytest.raises(InvalidVariable, match=r"^.{1,120}$"):
        prompt().fill({"x": "a", "y" * 10_000: "b"})
