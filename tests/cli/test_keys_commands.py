from __future__ import annotations

import pytest

from app.storage.database.database import DatabaseUnavailable


@pytest.fixture
def app(make_app, tmp_path):
    app = make_app(secret_key="s" * 40, database_url=f"sqlite:///{tmp_path}/keys.sqlite3")
    yield app
    app.extensions["gatehouse"].database.close()


@pytest.fixture
def keys(app, clock):
    return app.extensions["gatehouse"].authenticator.keys


@pytest.fixture
def run(app, keys):
    runner = app.test_cli_runner()
    return lambda *words: runner.invoke(args=["keys", *words])


def test_a_key_is_made_and_shown_once_alone_on_standard_output(run, keys):
    made = run("create", "--name", "shop", "--tenant", "acme", "--scopes", "chat, usage")

    text = made.stdout.strip()
    key = keys.verify(text)
    assert (key.name, key.tenant, key.scopes) == ("shop", "acme", {"chat", "usage"})
    assert "not shown again" in made.stderr
    assert "Authorization: Bearer" in made.stderr
    assert text not in made.stderr + run("list").output


def test_a_key_may_do_what_visitors_may_where_nothing_else_is_said(run, keys):
    key = keys.verify(run("create", "--name", "shop").stdout.strip())

    assert (key.tenant, key.scopes) == ("default", {"chat", "vision", "embeddings", "structured", "usage"})


def test_an_admin_key_is_for_its_own_tenant_unless_it_is_made_for_all(run, keys):
    own = keys.verify(run("create", "--name", "a", "--scopes", "admin").stdout.strip())
    for_all = run("create", "--name", "b", "--scopes", "admin", "--all-tenants").stdout.strip()

    assert own.scopes == {"admin"}
    assert keys.verify(for_all).scopes == {"admin", "all-tenants"}
    assert "admin,all-tenants" in run("list").output
    rotated = keys.verify(run("rotate", for_all[3:11]).stdout.strip())
    assert rotated.scopes == {"admin", "all-tenants"}
    refused = run("create", "--name", "c", "--all-tenants")
    assert refused.exit_code == 1
    assert "needs the scope admin" in refused.stderr


def test_the_list_is_a_table_of_what_is_public(run, keys, clock):
    assert "There are no keys" in run("list").output
    old = run("create", "--name", "shop").stdout.strip()[3:11]
    clock.move(60)
    new = run("rotate", old, "--grace", "1").stdout.strip()[3:11]
    clock.move(60)
    ended = run("create", "--name", "a longer name", "--scopes", "admin").stdout.strip()[3:11]
    run("revoke", ended)

    head, *rows = run("list").output.splitlines()

    assert head.split() == ["ID", "TENANT", "NAME", "SCOPES", "CREATED", "STATE"]
    assert [row.split()[0] for row in rows] == [old, new, ended]
    assert [row[head.index("STATE") :] for row in rows] == [
        "replaced, until 2026-09-21 15:14 UTC",
        "active",
        "revoked",
    ]


@pytest.mark.parametrize("form", ["{id}", "gh_{id}", "gh_{id}_", "{all}"])
def test_a_key_is_rotated_and_revoked_by_its_id_however_it_is_written(run, keys, form):
    text = run("create", "--name", "shop").stdout.strip()
    written = form.format(id=text[3:11], all=text)

    rotated = run("rotate", written, "--grace", "0.5")
    assert rotated.exit_code == 0
    assert "remains valid for 0.5 hours" in rotated.stderr
    assert keys.verify(rotated.stdout.strip())
    revoked = run("revoke", written)
    assert revoked.exit_code == 0
    assert {key.id: key.revoked_at is None for key in keys.list_all()} == {
        text[3:11]: False,
        rotated.stdout.strip()[3:11]: True,
    }
    assert text[12:] not in rotated.output + revoked.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create", "--name", "x", "--scopes", "chat,root"], "There is no scope 'root'"),
        (["create", "--name", "x", "--scopes", ","], "at least one scope"),
        (["create", "--name", " "], "A name is"),
        (["create", "--name", "x", "--tenant", "a b"], "A tenant is"),
        (["create"], "Missing option '--name'"),
        (["rotate", "nope"], "There is no key 'nope'"),
        (["revoke", "gh_nope"], "There is no key 'nope'"),
        (["rotate", "nope", "--grace", "-1"], "'--grace'"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_traceback(run, words, sentence):
    ran = run(*words)

    assert ran.exit_code != 0
    assert sentence in ran.stderr
    assert "Traceback" not in ran.output
    assert ran.stdout == ""


def test_a_database_that_is_away_is_said_so(run, keys, monkeypatch):
    def away():
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(keys._store, "read_transaction", away)
    ran = run("list")

    assert ran.exit_code == 1
    assert "DATABASE_URL" in ran.stderr


@pytest.mark.parametrize("command", ["create", "list", "rotate", "revoke"])
def test_every_command_explains_itself(run, command):
    assert command in run("--help").output
    ran = run(command, "--help")
    assert ran.exit_code == 0
    assert "Usage" in ran.output
