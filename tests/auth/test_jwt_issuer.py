from __future__ import annotations

import json
import warnings

import jwt
import pytest

from app.auth.errors import AuthUnavailable, Unauthenticated
from app.auth.jwt_issuer import JwtIssuer
from app.config import Config
from tests.fakes.identity_provider import (
    AUDIENCE,
    ISSUER,
    JWKS_URL,
    NOW,
    IdentityProvider,
    by_hand,
    claims,
    ec_key,
    jwk_of,
    pem_of,
    rsa_key,
)
from tests.fakes.tables import each_row

SECRET = "a secret that the provider shares with this server"
RS = {"alg": "RS256", "kid": "k1", "typ": "JWT"}
HS = {"alg": "HS256", "typ": "JWT"}


@pytest.fixture
def provider(monkeypatch):
    provider = IdentityProvider()
    monkeypatch.setattr("app.auth.jwks.fetch_key_set", provider.fetch)
    return provider


@pytest.fixture
def issuer(provider, clock):
    return JwtIssuer(Config(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=JWKS_URL).identity_provider)


@pytest.fixture
def secret_issuer(clock):
    config = Config(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_secret=SECRET, jwt_algorithm="HS256")
    return JwtIssuer(config.identity_provider)


def is_refused(issuer, token):
    try:
        issuer.verify(token)
    except Unauthenticated:
        return True
    return False


def test_a_token_of_the_provider_is_taken_for_its_user(issuer, provider):
    principal = issuer.verify(provider.token())

    assert (principal.kind, principal.tenant, principal.user) == ("visitor", "default", "anna")
    assert principal.scopes == {"chat", "vision", "embeddings", "structured", "usage"}
    assert provider.asked == [JWKS_URL]


def test_what_a_token_allows_is_said_by_the_settings_and_not_by_the_token(provider, clock):
    config = Config(
        jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=JWKS_URL, jwt_scopes=("chat",), jwt_tenant="acme"
    )

    principal = JwtIssuer(config.identity_provider).verify(
        provider.token(scopes=["admin"], scope="admin", tenant="other")
    )

    assert (principal.tenant, principal.scopes) == ("acme", {"chat"})


def test_a_token_of_the_shared_secret_is_taken(secret_issuer):
    assert secret_issuer.verify(jwt.encode(claims(), SECRET, algorithm="HS256")).user == "anna"


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW + 1},
        {"exp": NOW + 600.5},
        {"aud": ["other", AUDIENCE]},
        {"iat": NOW + 20},
        {"nbf": NOW},
        {"iat": None},
    ],
)
def test_what_a_good_token_may_also_look_like(issuer, provider, change):
    assert issuer.verify(provider.token(**change)).user == "anna"


HUGE = 10**400
FORGED = {
    "alg none": lambda: by_hand({**RS, "alg": "none"}, claims()),
    "alg None": lambda: by_hand({**RS, "alg": "None"}, claims()),
    "alg nOnE, signed": lambda: by_hand({**RS, "alg": "nOnE"}, claims(), secret=b""),
    "no alg": lambda: by_hand({"kid": "k1"}, claims(), key=rsa_key(1)),
    "alg is null": lambda: by_hand({**RS, "alg": None}, claims(), key=rsa_key(1)),
    "alg is a list": lambda: by_hand({**RS, "alg": ["RS256"]}, claims(), key=rsa_key(1)),
    "HS256 with the public key": lambda: by_hand({**RS, "alg": "HS256"}, claims(), secret=pem_of(rsa_key(1))),
    "HS256 with the key's JWK": lambda: by_hand(
        {**RS, "alg": "HS256"}, claims(), secret=json.dumps(jwk_of(rsa_key(1), "k1")).encode()
    ),
    "HS256 with an empty secret": lambda: by_hand({**RS, "alg": "HS256"}, claims(), secret=b""),
    "PS256 by the same key": lambda: jwt.encode(claims(), rsa_key(1), algorithm="PS256", headers={"kid": "k1"}),
    "RS512 by the same key": lambda: jwt.encode(claims(), rsa_key(1), algorithm="RS512", headers={"kid": "k1"}),
    "another key": lambda: IdentityProvider().token(key=rsa_key(2)),
    "no signature": lambda: IdentityProvider().token().rpartition(".")[0] + ".",
    "a part too few": lambda: IdentityProvider().token().rpartition(".")[0],
    "crit": lambda: by_hand({**RS, "crit": ["exp"], "exp": NOW}, claims(), key=rsa_key(1)),
    "crit b64": lambda: by_hand({**RS, "crit": ["b64"], "b64": False}, claims(), key=rsa_key(1)),
    "no exp": lambda: IdentityProvider().token(exp=None),
    "no sub": lambda: IdentityProvider().token(sub=None),
    "no iss": lambda: IdentityProvider().token(iss=None),
    "no aud": lambda: IdentityProvider().token(aud=None),
    "expired": lambda: IdentityProvider().token(exp=NOW),
    "wrong aud": lambda: IdentityProvider().token(aud="other"),
    "longer aud": lambda: IdentityProvider().token(aud=AUDIENCE + ".evil.example"),
    "empty aud": lambda: IdentityProvider().token(aud=[]),
    "wrong iss": lambda: IdentityProvider().token(iss="https://evil.example/"),
    "iss without its slash": lambda: IdentityProvider().token(iss=ISSUER.rstrip("/")),
    "iss is a list": lambda: by_hand(RS, claims(iss=[ISSUER]), key=rsa_key(1)),
    "exp NaN": lambda: by_hand(RS, claims(exp=float("nan")), key=rsa_key(1)),
    "exp Infinity": lambda: by_hand(RS, claims(exp=float("inf")), key=rsa_key(1)),
    "exp huge": lambda: by_hand(RS, claims(exp=HUGE), key=rsa_key(1)),
    "exp minus huge": lambda: by_hand(RS, claims(exp=-HUGE), key=rsa_key(1)),
    "exp a text": lambda: by_hand(RS, claims(exp=str(NOW + 600)), key=rsa_key(1)),
    "exp true": lambda: by_hand(RS, claims(exp=True), key=rsa_key(1)),
    "exp too far ahead": lambda: IdentityProvider().token(exp=NOW + 2 * 86_400),
    "exp in a hundred years": lambda: IdentityProvider().token(exp=NOW + 100 * 365 * 86_400),
    "nbf ahead": lambda: IdentityProvider().token(nbf=NOW + 300),
    "nbf a text": lambda: by_hand(RS, claims(nbf="x"), key=rsa_key(1)),
    "iat ahead": lambda: IdentityProvider().token(iat=NOW + 300),
    "iat true": lambda: by_hand(RS, claims(iat=True), key=rsa_key(1)),
    "iat NaN": lambda: by_hand(RS, claims(iat=float("nan")), key=rsa_key(1)),
    "sub a number": lambda: by_hand(RS, claims(sub=7), key=rsa_key(1)),
    "sub empty": lambda: IdentityProvider().token(sub=""),
    "sub with a comma": lambda: IdentityProvider().token(sub="anna,bob"),
    "sub with a line break": lambda: IdentityProvider().token(sub="anna\nbob"),
    "sub too long": lambda: IdentityProvider().token(sub="x" * 129),
    "sub as of an address": lambda: IdentityProvider().token(sub="address:203.0.113.7"),
    "sub as of a session": lambda: IdentityProvider().token(sub="session:x"),
    "sub as of a key": lambda: IdentityProvider().token(sub="key:x"),
    "kid unknown": lambda: IdentityProvider().token(kid="k2"),
    "kid a path": lambda: IdentityProvider().token(kid="../../../dev/null"),
    "kid SQL": lambda: IdentityProvider().token(kid="' OR 1=1 --"),
    "kid a number": lambda: by_hand({**RS, "kid": 1}, claims(), key=rsa_key(1)),
    "kid a list": lambda: by_hand({**RS, "kid": ["k1"]}, claims(), key=rsa_key(1)),
    "jku of the forger": lambda: by_hand(
        {**RS, "jku": "https://evil.example/jwks.json"}, claims(), key=rsa_key(2)
    ),
    "jwk of the forger": lambda: by_hand({**RS, "jwk": jwk_of(rsa_key(2), "k1")}, claims(), key=rsa_key(2)),
    "x5u of the forger": lambda: by_hand({**RS, "x5u": "https://evil.example/cert.pem"}, claims(), key=rsa_key(2)),
    "claims a list": lambda: by_hand(RS, [claims()], key=rsa_key(1)),
    "claims no JSON": lambda: by_hand(RS, b"{", key=rsa_key(1)),
    "claims nested deeply": lambda: by_hand(RS, b"[" * 100_000, key=rsa_key(1)),
    "header no JSON": lambda: "e30x." + IdentityProvider().token().partition(".")[2],
    "nothing": lambda: "..",
}


@each_row("make", FORGED.values(), ids=FORGED)
def test_a_forged_or_spent_token_is_refused(issuer, provider, make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_refused(issuer, make())
    assert set(provider.asked) <= {JWKS_URL}


SECRET_FORGED = {
    "alg none": lambda: by_hand({**HS, "alg": "none"}, claims()),
    "another secret": lambda: by_hand(HS, claims(), secret=b"x" * 32),
    "no secret": lambda: by_hand(HS, claims(), secret=b""),
    "HS384": lambda: jwt.encode(claims(), SECRET, algorithm="HS384"),
    "RS256": lambda: IdentityProvider().token(),
    "kid": lambda: by_hand({**HS, "kid": "/dev/null"}, claims(), secret=b""),
    "expired": lambda: jwt.encode(claims(exp=NOW), SECRET, algorithm="HS256"),
}


@pytest.mark.parametrize("make", SECRET_FORGED.values(), ids=SECRET_FORGED)
def test_a_forged_token_is_refused_where_the_secret_is_shared(secret_issuer, make):
    assert is_refused(secret_issuer, make())


def test_no_key_is_fetched_for_a_token_of_another_algorithm(issuer, provider):
    assert is_refused(issuer, FORGED["HS256 with the public key"]())
    assert is_refused(issuer, FORGED["alg none"]())
    assert provider.asked == []


def test_a_shared_secret_signs_by_the_one_algorithm_only(clock):
    secret = SECRET * 2
    config = Config(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_secret=secret, jwt_algorithm="HS512")

    assert JwtIssuer(config.identity_provider).verify(jwt.encode(claims(), secret, algorithm="HS512"))
    assert is_refused(JwtIssuer(config.identity_provider), jwt.encode(claims(), secret, algorithm="HS256"))


@pytest.mark.parametrize(
    ("number", "bits", "changes"),
    [
        (3, 1024, {}),  # too short to be safe
        (2, 2048, {"use": "enc"}),
        (2, 2048, {"alg": "RS512"}),
        (2, 2048, {"kid": ["k1"]}),
    ],
)
def test_a_key_that_is_not_meant_for_it_signs_nothing(issuer, provider, number, bits, changes):
    key = rsa_key(number, bits)
    provider.keys = [jwk_of(key, "k1") | changes, jwk_of(rsa_key(1), "other")]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = provider.token(key=key)
    assert is_refused(issuer, token)


def test_a_secret_among_the_public_keys_signs_nothing(issuer, provider):
    oct_key = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "k1"}
    provider.keys = [oct_key, jwk_of(ec_key(), "k1"), jwk_of(rsa_key(1), "k2")]

    assert is_refused(issuer, by_hand({**RS, "alg": "HS256"}, claims(), secret=b"secret" * 5))
    assert is_refused(issuer, jwt.encode(claims(), ec_key(), algorithm="ES256", headers={"kid": "k1"}))
    assert issuer.verify(provider.token(kid="k2"))


def test_an_elliptic_key_is_taken_where_it_is_the_one_algorithm(provider, clock):
    provider.keys = [jwk_of(ec_key(), "k1"), jwk_of(rsa_key(1), "k2")]
    config = Config(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=JWKS_URL, jwt_algorithm="ES256")

    assert JwtIssuer(config.identity_provider).verify(provider.token(key=ec_key(), algorithm="ES256"))
    assert is_refused(JwtIssuer(config.identity_provider), provider.token(kid="k2"))


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_a_key_that_does_not_say_its_algorithm_is_taken_to_be_for_the_one(provider, clock, algorithm):
    config = Config(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=JWKS_URL, jwt_algorithm=algorithm)

    assert JwtIssuer(config.identity_provider).verify(provider.token(algorithm=algorithm))
    assert is_refused(JwtIssuer(config.identity_provider), provider.token())


def test_a_token_that_names_no_key_is_checked_with_the_only_one(issuer, provider):
    assert issuer.verify(provider.token(kid=None))

    provider.keys.append(jwk_of(rsa_key(2), "k2"))
    assert is_refused(
        JwtIssuer(Config(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=JWKS_URL).identity_provider),
        provider.token(kid=None),
    )


def test_a_provider_that_cannot_be_asked_is_not_the_visitors_fault(issuer, provider):
    provider.is_away = True

    with pytest.raises(AuthUnavailable):
        issuer.verify(provider.token())


def test_an_expired_token_is_no_guess_but_a_forged_one_is(issuer, provider):
    for make, is_guess in [(FORGED["expired"], False), (FORGED["another key"], True), (FORGED["alg none"], True)]:
        with pytest.raises(Unauthenticated) as caught:
            issuer.verify(make())
        assert caught.value.is_guess is is_guess
