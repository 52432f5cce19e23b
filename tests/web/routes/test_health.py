from __future__ import annotations

import sqlite3

import pytest

from app.storage.database.database import Contended, Database


def test_the_server_is_alive_and_ready(client):
    assert (client.get("/healthz").json, client.get("/readyz").json) == ({"status": "alive"}, {"status": "ready"})


def test_it_is_alive_but_not_ready_while_its_ledger_cannot_be_opened(make_app, tmp_path):
    place = tmp_path / "data"
    place.write_text("a file where a directory should be")
    client = make_app(database_url=f"sqlite:///{place}/gatehouse.sqlite3").test_client()

    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "store_unavailable")
    assert answer.json["advice"] == "the folder of the ledger's file is a file: check DATABASE_URL"
    assert answer.headers["Cache-Control"] == "no-store"


def test_it_is_ready_again_without_a_restart(make_app, tmp_path, monkeypatch):
    clock_s = 0.0
    monkeypatch.setattr("app.runtime.clock.ticks", lambda: clock_s)
    place = tmp_path / "data"
    place.write_text("")
    client = make_app(database_url=f"sqlite:///{place}/gatehouse.sqlite3").test_client()
    assert client.get("/readyz").status_code == 503

    place.unlink()
    clock_s += 1.1  # a store that failed is left alone for a second

    assert client.get("/readyz").status_code == 200
    assert sqlite3.connect(place / "gatehouse.sqlite3").execute("SELECT count(*) FROM entries").fetchone() == (0,)


def test_it_is_ready_while_so_many_write_that_its_own_turn_does_not_come(client, monkeypatch):
    def contended(self):
        raise Contended("contended")

    monkeypatch.setattr(Database, "check", contended)
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_neither_asks_the_upstream(client, upstream, path):
    client.get(path)
    assert upstream.sent == []
