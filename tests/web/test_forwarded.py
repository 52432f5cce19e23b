"""The visitor's scheme, as trusted proxies state it."""

from __future__ import annotations

import pytest

from app.web.forwarded import TrustedProxies
from tests.fakes.tables import each_row

HOST = "chat.example.org"


def scheme_of(proxies, forwarded_proto, scheme="http"):
    seen = []
    environ = {"wsgi.url_scheme": scheme}
    if forwarded_proto is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = forwarded_proto
    TrustedProxies(lambda environ, _: seen.append(environ["wsgi.url_scheme"]), proxies)(environ, None)
    return seen[0]


@pytest.mark.parametrize(
    ("proxies", "forwarded_proto", "scheme"),
    [
        (1, "https", "https"),
        (1, "http", "http"),
        (1, None, "http"),
        (1, "HTTPS", "https"),
        (1, " https ", "https"),
        (1, '"https"', "https"),
        (1, "wss", "https"),
        (2, "https", "https"),  # the second proxy has replaced or kept the header
        (3, "https, http", "https"),
        (2, "https,http", "https"),
        (2, "http, https", "http"),  # the visitor came by http to a proxy that goes on by https
        (1, "https, http", "https"),  # a proxy further out has ended TLS
        (1, "http, https", "https"),
        (1, "http, http", "http"),
        (1, "", "http"),
        (1, "ftp", "http"),
        (1, "https\x00", "http"),
        (1, "nonsense, https", "https"),
    ],
)
def test_the_scheme_is_the_one_of_the_visitors_browser(proxies, forwarded_proto, scheme):
    assert scheme_of(proxies, forwarded_proto) == scheme


def test_a_scheme_that_nobody_knows_leaves_that_of_the_connection():
    assert scheme_of(1, "nonsense", scheme="https") == "https"


@each_row("proto", ["HTTPS", "https, http", "https,https"])
@each_row("proxies", [1, 2])
def test_own_pages_and_their_cookie_are_of_https(make_app, proto, proxies):
    client = make_app(trusted_proxies=proxies, trusted_hosts=(HOST,), secret_key="s" * 32).test_client()
    headers = {"Host": HOST, "X-Forwarded-Proto": proto}

    page = client.get("/", headers={**headers, "Accept": "text/html"})
    answer = client.post("/api/chat", json={"message": "Hi"}, headers={**headers, "Origin": f"https://{HOST}"})

    assert page.headers["Set-Cookie"].startswith("__Host-gatehouse=")
    assert "; Secure" in page.headers["Set-Cookie"]
    assert answer.status_code == 200


@each_row("name", ["X-Forwarded-Ssl", "X-Forwarded-Protocol", "X-Url-Scheme", "Front-End-Https", "Forwarded"])
def test_no_other_header_makes_a_request_https(make_app, name):
    client = make_app(trusted_proxies=1, trusted_hosts=(HOST,)).test_client()
    headers = {"Host": HOST, "Origin": f"https://{HOST}", name: "proto=https" if name == "Forwarded" else "on"}

    assert client.post("/api/chat", json={"message": "Hi"}, headers=headers).status_code == 403
