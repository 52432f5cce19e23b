"""A site's identity provider, and what a forger makes of its tokens."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.com/"
AUDIENCE = "gatehouse.example.com"
JWKS_URL = "https://login.example.com/jwks.json"
NOW = 1_790_000_000


class MovableClock:
    """Both clocks of app.auth, which stand still until they are moved."""

    def __init__(self) -> None:
        self.time = float(NOW)

    def move(self, seconds: float) -> None:
        self.time += seconds

    def now(self) -> float:
        return self.time


@functools.cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk_of(key: Any, kid: str, **members: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **members}


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says, with other claims where they are given; None leaves one out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "iat": NOW, "exp": NOW + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@dataclass
class IdentityProvider:
    """Publishes its keys, and counts how often it is asked for them."""

    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk_of(rsa_key(1), "k1")])
    asked: list[str] = field(default_factory=list)
    is_away: bool = False

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.is_away:
            raise OSError("away")
        return json.dumps({"keys": self.keys}).encode()

    def token(self, kid: str | None = "k1", key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        headers = {"kid": kid} if kid else {}
        return jwt.encode(claims(**changes), key or rsa_key(1), algorithm=algorithm, headers=headers)


def part(value: Any) -> str:
    """One part of a JWT: JSON as Python writes it (NaN included), or bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], body: Any, *, secret: bytes | None = None, key: Any = None) -> str:
    """A token that no library would make: unsigned, or signed as HS256 with a secret or RS256 with a key."""
    text = f"{part(header)}.{part(body)}"
    signature = b""
    if secret is not None:
        signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    elif key is not None:
        signature = jwt.get_algorithm_by_name("RS256").sign(text.encode(), key)
    return f"{text}.{part(signature)}"
