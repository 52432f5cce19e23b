from __future__ import annotations

import hmac
import logging
import re

import pytest

from app.auth.errors import Unauthenticated
from app.auth.keys import ApiKeys, InvalidKeyRequest
from app.auth.store import LazyStore
from app.storage.database.database import open_database

WRONG = "gh_AAAAAAAA_" + "x" * 43


def make(keys, **changes):
    return keys.create(**{"tenant": "acme", "name": "shop", "scopes": ["chat", "usage"], **changes})


def reason_of(keys, text):
    with pytest.raises(Unauthenticated) as caught:
        keys.verify(text)
    return caught.value.reason, caught.value.is_guess


def test_a_key_is_known_again_with_all_that_it_may_do(keys):
    new = make(keys)

    key = keys.verify(new.text)

    assert key == new.key
    assert (key.tenant, key.name, key.scopes) == ("acme", "shop", {"chat", "usage"})


def test_a_key_has_a_public_prefix_and_256_random_bits(keys):
    texts = {make(keys).text for _ in range(20)}

    assert len(texts) == 20
    for text in texts:
        assert re.fullmatch(r"gh_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}", text)


def test_nothing_of_a_secret_is_stored_or_shown(keys, store, tmp_path):
    new = make(keys)
    secret = new.text.split("_", 2)[2]

    with store.read_transaction() as connection:
        [row] = connection.fetch_rows("SELECT * FROM api_keys")

    assert secret not in str(row)
    assert secret not in repr(new) + str(keys.list_all())
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gh_",
        WRONG[:-1],
        WRONG + "x",
        WRONG.upper(),
        f" {WRONG}",
        f"{WRONG}\n",
        "gh_AAAA'; --_" + "x" * 43,
        "gh_é",
    ],
)
def test_what_is_no_key_is_refused_without_a_look_at_the_database(keys, monkeypatch, text):
    monkeypatch.setattr(keys._store, "read_transaction", None)

    assert reason_of(keys, text) == ("malformed key", True)


def test_a_wrong_secret_and_an_unknown_key_are_told_alike_and_by_the_same_way(keys, monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr("app.auth.keys.hmac.compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    known = make(keys)

    miss = reason_of(keys, WRONG)
    wrong = reason_of(keys, f"gh_{known.key.id}_{'x' * 43}")
    keys.verify(known.text)

    assert miss == wrong == ("wrong key", True)
    assert len(compared) == 3
    assert all(len(kept) == len(shown) == 64 for kept, shown in compared)
    assert compared[0][1] == compared[1][1] != compared[2][1]


def test_the_stand_in_of_a_missing_key_lets_nobody_in_even_if_it_were_hit(keys, monkeypatch):
    monkeypatch.setattr("app.auth.keys.hmac.compare_digest", lambda a, b: True)

    assert reason_of(keys, WRONG) == ("wrong key", True)


def test_a_key_does_not_open_with_the_secret_of_another(keys):
    one, other = make(keys), make(keys)

    mixed = f"gh_{one.key.id}_{other.text.split('_', 2)[2]}"

    assert reason_of(keys, mixed) == ("wrong key", True)


def test_a_replaced_key_stays_good_for_its_grace_and_not_a_second_longer(keys, clock):
    old = make(keys)

    new = keys.rotate(old.key.id, grace_s=3600)

    assert keys.verify(new.text).scopes == old.key.scopes
    assert new.key.tenant == "acme"
    clock.move(3599)
    assert keys.verify(old.text).state(clock.now()) == "replaced"
    clock.move(1)
    assert reason_of(keys, old.text) == ("expired key", False)
    assert keys.verify(new.text).state(clock.now()) == "active"
    assert {key.id: key.state(clock.now()) for key in keys.list_all()} == {
        old.key.id: "expired",
        new.key.id: "active",
    }


def test_a_key_without_grace_ends_with_its_rotation(keys):
    old = make(keys)

    keys.rotate(old.key.id, grace_s=0)

    assert reason_of(keys, old.text) == ("expired key", False)


def test_a_key_is_rotated_once_only(keys):
    old = make(keys)
    keys.rotate(old.key.id, grace_s=60)

    with pytest.raises(InvalidKeyRequest, match="is replaced"):
        keys.rotate(old.key.id, grace_s=60)
    assert len(keys.list_all()) == 2


def test_a_revoked_key_ends_at_once_and_cannot_come_back(keys, clock):
    key = make(keys)

    keys.revoke(key.key.id)
    clock.move(5)

    assert reason_of(keys, key.text) == ("revoked key", False)
    assert keys.revoke(key.key.id).revoked_at == clock.now() - 5
    with pytest.raises(InvalidKeyRequest, match="is revoked"):
        keys.rotate(key.key.id, grace_s=60)


def test_another_worker_sees_a_revocation_at_once(keys, tmp_path):
    other = open_database(f"sqlite:///{tmp_path}/credentials.sqlite3", tmp_path)
    key = make(keys)
    assert ApiKeys(LazyStore(other)).verify(key.text)

    keys.revoke(key.key.id)

    assert reason_of(ApiKeys(LazyStore(other)), key.text) == ("revoked key", False)
    other.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scopes": []}, "at least one"),
        ({"scopes": ["chat", "root"]}, "'root'"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": "x" * 65}, "tenant"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
    ],
)
def test_a_key_that_cannot_be_is_not_made(keys, change, words):
    with pytest.raises(InvalidKeyRequest, match=words):
        make(keys, **change)
    assert keys.list_all() == []


def test_a_key_that_is_not_there_cannot_be_rotated_or_revoked(keys):
    for ask in (lambda: keys.revoke("nope"), lambda: keys.rotate("nope", grace_s=1)):
        with pytest.raises(InvalidKeyRequest, match="There is no key 'nope'"):
            ask()


def test_a_missing_key_is_no_database_fault(keys, caplog):
    caplog.set_level(logging.DEBUG)
    reason_of(keys, WRONG)

    assert "x" * 43 not in caplog.text
