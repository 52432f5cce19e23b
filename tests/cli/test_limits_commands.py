from __future__ import annotations

import json

import pytest

UNSET = dict.fromkeys(("request_rate", "token_rate", "concurrent_streams", "budget_usd", "budget_tokens"))


@pytest.fixture
def app(make_app, tmp_path):
    app = make_app(secret_key="s" * 40, database_url=f"sqlite:///{tmp_path}/limits.sqlite3")
    yield app
    app.extensions["gatehouse"].database.close()


@pytest.fixture
def run(app):
    runner = app.test_cli_runner()
    return lambda *words: runner.invoke(args=["limits", *words])


@pytest.fixture
def current(app):
    """What the workers have."""
    return app.extensions["gatehouse"].stored_limits.current


def test_limits_are_set_listed_and_cleared(run, current):
    done = run("set", "user", "42", "--tenant", "acme", "--budget-usd", "5", "--requests", "10/minute")
    assert done.output == "The user 42 of acme now has requests 10/minute, budget-usd 5.\n"
    assert current()["user:acme/42"].to_texts() == UNSET | {"request_rate": "10/minute", "budget_usd": "5"}

    head, row = run("list").output.splitlines()
    assert head.split()[:4] == ["KIND", "TENANT", "ID", "REQUESTS"]
    assert row.split() == ["user", "acme", "42", "10/minute", "-", "-", "5", "-"]

    assert (
        run("clear", "user", "42", "--tenant", "acme").output
        == "The user 42 of acme now has the limits of the settings.\n"
    )
    assert run("list").output == "No account has limits of its own; those of the settings apply.\n"
    assert current() == {}


def test_what_is_not_given_stays_and_default_gives_it_back(run, current):
    run("set", "tenant", "acme", "--budget-tokens", "none", "--streams", "0")
    run("set", "tenant", "acme", "--budget-tokens", "7")
    assert current()["tenant:acme"].to_texts() == UNSET | {"concurrent_streams": "0", "budget_tokens": "7"}

    run("set", "tenant", "acme", "--streams", "default")
    assert current()["tenant:acme"].to_texts() == UNSET | {"budget_tokens": "7"}


def test_a_key_is_known_by_its_id_and_by_what_it_begins_with(run, app, current):
    key = app.extensions["gatehouse"].authenticator.keys.create(tenant="acme", name="k", scopes=["chat"])
    for name in (key.key.id, f"gh_{key.key.id}", key.text):
        done = run("set", "key", name, "--streams", "3", "--tenant", "acme")
        assert done.output == f"The key {key.key.id} of acme now has streams 3.\n"
        assert list(current()) == [f"key:{key.key.id}"]
        run("clear", "key", name)
    unknown = run("set", "key", "gh_AbCd1234_" + "s" * 43, "--streams", "3").output
    assert ("'AbCd1234'" in unknown, "sss" in unknown) == (True, False)


def test_limits_of_one_tenant_are_listed(run):
    run("set", "tenant", "acme", "--streams", "3")
    assert "No account of the tenant other has" in run("list", "--tenant", "other").output


def test_programs_read_json(run, app):
    key = app.extensions["gatehouse"].authenticator.keys.create(tenant="acme", name="k", scopes=["chat"]).key
    made = json.loads(run("set", "key", key.id, "--tokens", "9/hour", "--json").stdout)

    assert made == {"kind": "key", "tenant": "acme", "id": key.id, **UNSET, "token_rate": "9/hour"}
    assert json.loads(run("list", "--json").stdout) == [made]
    assert json.loads(run("list", "--tenant", "other", "--json").stdout) == []
    assert json.loads(run("clear", "key", key.id, "--json").stdout) == {**made, "token_rate": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "user", "42"), "at least one of --requests"),
        (("set", "user", "42", "--requests", "often"), "--requests"),
        (("set", "user", "42", "--budget-usd", "-1"), "--budget-usd"),
        (("set", "planet", "42", "--streams", "1"), "planet"),
        (("set", "key", "AbCd1234", "--streams", "1"), "There is no key"),
        (("set", "user", "a b", "--streams", "1"), "visible ASCII"),
        (("set", "user", "42", "--tenant", "a b", "--streams", "1"), "A tenant must be"),
        (("clear", "key", "AbCd1234"), "There is no key"),
        (("set", "tenant", "acme", "--tenant", "other", "--streams", "1"), "cannot belong to another tenant"),
        (("clear", "tenant", "acme", "--tenant", "other"), "cannot belong to another tenant"),
        (("set", "user", "42", "--budget-usd", "0.1234567"), "six decimals"),
    ],
)
def test_what_cannot_be_done_is_said(run, words, said):
    answer = run(*words)

    assert answer.exit_code != 0
    assert said in answer.output


def test_a_database_that_is_away_is_said(make_app, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    app = make_app(database_url=f"sqlite:///{tmp_path}/file/x.sqlite3")
    for words in (["limits", "list"], ["limits", "set", "user", "1", "--streams", "1"], ["admin", "audit"]):
        answer = app.test_cli_runner().invoke(args=words)
        assert (answer.exit_code, "DATABASE_URL cannot be used" in answer.output) == (1, True)


def test_sessions_and_changes_are_listed(app, run):
    runner = app.test_cli_runner()
    assert runner.invoke(args=["admin", "audit"]).output == "The audit trail is empty.\n"
    assert runner.invoke(args=["admin", "sessions"]).output == "No session is open.\n"
    run("set", "tenant", "acme", "--streams", "3")

    [row] = json.loads(runner.invoke(args=["admin", "audit", "--json", "--tenant", "acme"]).output)
    assert (row["action"], row["target"], row["details"]) == (
        "limits.set",
        "tenant:acme",
        {"concurrent_streams": [None, "3"]},
    )
    assert row["actor"].startswith("command:")
