"""A site that uses Gatehouse: its server's keys, its visitors' tokens, its identity provider."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.fakes.identity_provider import IdentityProvider

SECRET_KEY = "canary-secret-key-" + "s" * 32
ALL = "chat,vision,embeddings,structured,usage,admin"


class Site:
    """An application with AUTH_REQUIRED=true, and who may use it."""

    def __init__(self, app: Flask, provider: IdentityProvider) -> None:
        self.app = app
        self.provider = provider
        self.client: FlaskClient = app.test_client()
        self.auth = app.extensions["gatehouse"].authenticator
        self.key = self.new_key()

    def new_key(self, scopes: str = ALL, tenant: str = "acme") -> str:
        new = self.auth.keys.create(tenant=tenant, name="server", scopes=scopes.split(","))
        return str(new.text)

    def token_answer(self, key: str | None = None, **body: Any) -> TestResponse:
        body = {"userId": "anna", "ttlS": 600, "scopes": ["chat"], **body}
        return self.client.post("/api/tokens", json=body, headers=bearer(key or self.key))

    def token(self, key: str | None = None, **body: Any) -> str:
        answer = self.token_answer(key, **body)
        assert answer.status_code == 201, answer.text
        return str(answer.json["token"])

    def chat(self, credential: str | None = None, path: str = "/api/chat", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if credential is not None:
            named |= bearer(credential)
        return self.client.post(path, json={"message": "Hi"}, headers=named)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}
