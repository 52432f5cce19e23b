from __future__ import annotations

import pytest

from app.auth.principal import VISITOR_SCOPES
from app.config import Config, ConfigError
from tests.fakes.identity_provider import AUDIENCE, ISSUER, JWKS_URL

GOOD = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks_url": JWKS_URL}
SECRET = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_secret": "x" * 64}
PRODUCTION = {
    "app_env": "production",
    "auth_required": True,
    "openai_api_key": "k",
    "secret_key": "s" * 32,
    "allowed_origins": ("https://www.example.com",),
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        GOOD,
        {**GOOD, "jwt_algorithm": "ES256"},
        {**GOOD, "jwt_algorithm": "EdDSA"},
        {**GOOD, "jwt_jwks_url": "http://127.0.0.1:8080/jwks"},
        {**SECRET, "jwt_algorithm": "HS256"},
        {**SECRET, "jwt_algorithm": "HS512"},
        {**GOOD, **PRODUCTION},
        {**GOOD, "jwt_scopes": ()},
    ],
)
def test_what_goes_together_has_no_problem(settings):
    assert bool(Config(**settings).identity_provider) is bool(settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({**GOOD, "jwt_algorithm": "none"}, "JWT_ALGORITHM"),
        ({"jwt_algorithm": "None"}, "JWT_ALGORITHM"),
        ({**GOOD, "jwt_algorithm": "RS256,HS256"}, "JWT_ALGORITHM"),
        ({**GOOD, "jwt_issuer": ""}, "JWT_ISSUER"),
        ({**GOOD, "jwt_audience": ""}, "JWT_AUDIENCE"),
        ({**GOOD, "jwt_jwks_url": ""}, "JWT_JWKS_URL"),
        ({**GOOD, "jwt_jwks_url": "file:///etc/passwd"}, "JWT_JWKS_URL"),
        ({**GOOD, "jwt_jwks_url": "https://[::1"}, "JWT_JWKS_URL"),
        ({**GOOD, "jwt_jwks_url": "https://"}, "JWT_JWKS_URL"),
        ({**GOOD, **PRODUCTION, "jwt_jwks_url": "http://login.example.com/jwks"}, "JWT_JWKS_URL"),
        ({**GOOD, "jwt_secret": "x" * 64}, "JWT_SECRET"),
        ({**SECRET, "jwt_jwks_url": JWKS_URL, "jwt_algorithm": "HS256"}, "JWT_JWKS_URL"),
        ({**SECRET, "jwt_algorithm": "HS256", "jwt_secret": "x" * 31}, "JWT_SECRET"),
        ({**SECRET, "jwt_algorithm": "HS384", "jwt_secret": "x" * 47}, "JWT_SECRET"),
        ({**SECRET, "jwt_algorithm": "HS512", "jwt_secret": "x" * 63}, "JWT_SECRET"),
        (
            {**SECRET, "jwt_algorithm": "HS256", "jwt_secret": "-----BEGIN PUBLIC KEY-----" + "x" * 64},
            "JWT_SECRET",
        ),
        ({**GOOD, "jwt_scopes": ("chat", "admin")}, "JWT_SCOPES"),
        ({**GOOD, "jwt_tenant": "acme/eu"}, "JWT_TENANT"),
        ({**GOOD, "jwt_tenant": ""}, "JWT_TENANT"),
    ],
)
def test_what_does_not_go_together_is_named(settings, name):
    with pytest.raises(ConfigError) as caught:
        Config(**settings)

    [problem] = caught.value.problems
    assert problem.startswith(name)
    assert "x" * 20 not in problem


def test_such_settings_do_not_allow_a_start(make_app):
    with pytest.raises(ConfigError, match="JWT_ALGORITHM"):
        make_app(jwt_algorithm="none")


def test_without_a_word_its_users_may_do_what_visitors_may():
    assert set(Config().jwt_scopes) == VISITOR_SCOPES


def test_a_secret_appears_in_no_repr_of_the_providers_settings():
    assert "x" * 20 not in repr(Config(**SECRET, jwt_algorithm="HS256").identity_provider)


def test_asking_for_credentials_needs_a_secret_key():
    with pytest.raises(ConfigError, match="AUTH_REQUIRED needs a SECRET_KEY"):
        Config(auth_required=True)


def test_the_shared_secret_and_the_databases_password_appear_in_no_repr():
    config = Config(**SECRET, jwt_algorithm="HS256", database_url="postgresql+psycopg://u:canary@db/x")

    assert "x" * 20 not in repr(config)
    assert "canary" not in repr(config)
