from __future__ import annotations

import pytest

from app.config import ConfigError
from tests.conftest import ORIGIN
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import error, stream_of
from tests.fakes.wire.bodies import EVERY_ROUTE as ROUTES
from tests.fakes.wire.bodies import EVERY_SMALLEST as SMALLEST

CHAT = {"message": "Hi"}
HERE = "http://localhost"  # where the test client's requests go to
SECOND = "https://app.example.com:8443"
V6 = "http://[::1]:3000"
EXPOSED = {"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
EXPOSED |= {"X-Request-ID", "X-Model", "X-Attempts", "X-Overhead-Ms"}
EXPOSED |= {"X-Should-Retry", "X-Stream-Id", "Idempotent-Replay"}

# All of them nearly one of the two that are allowed, or the site's own.
FOREIGN = [
    "https://evil.example",
    "https://www.example.com.evil.example",
    "https://evil-www.example.com",
    "https://wwwXexample.com",
    "https://a.www.example.com",
    "https://example.com",
    "http://www.example.com",
    "https://www.example.com:444",
    "https://www.example.com:443",
    "https://www.example.com/",
    "https://www.example.com.",
    "HTTPS://WWW.EXAMPLE.COM",
    "https://WWW.example.com",
    "https://www.example.com\t",
    "https://www.example.com https://evil.example",
    "https://www.example.com,https://evil.example",
    "https://user@www.example.com",
    "https://app.example.com",
    "https://app.example.com:8444",
    "http://[::1]:3001",
    "http://[::1]",
    "http://[0:0:0:0:0:0:0:1]:3000",
    "http://::1:3000",
    "http://:",
    "http://localhost:0",
    "http://localhost:5000/",
    "http://127.0.0.2:3000",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "null",
    "",
    "*",
    "file://",
    "chrome-extension://abcdef",
    "www.example.com",
    ".*",
]


@pytest.fixture
def client(make_app):
    return make_app(allowed_origins=(ORIGIN, SECOND, V6)).test_client()


def cors(answer):
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-")}


def preflight(client, origin, route="/api/chat", method="POST", headers="content-type"):
    return client.options(
        route,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        },
    )


@each_row("origin", [ORIGIN, SECOND, V6])
@each_row("route", ROUTES)
def test_a_page_of_an_allowed_origin_may_ask_and_read(client, upstream, origin, route):
    upstream.sent.clear()

    answer = client.post(route, json=SMALLEST[route], headers={"Origin": origin})

    assert answer.status_code != 403
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert set(answer.headers["Access-Control-Expose-Headers"].split(", ")) >= EXPOSED
    assert "Origin" in answer.vary
    assert upstream.sent


@each_row("origin", FOREIGN)
@each_row("route", ["/api/chat", "/api/chat/stream", "/api/chat/openai", "/api/embeddings"])
def test_a_page_of_another_origin_is_refused_before_any_work(client, upstream, origin, route):
    answer = client.post(route, json=SMALLEST[route], headers={"Origin": origin})

    assert answer.status_code == 403
    assert answer.json.get("code", "origin_not_allowed") == "origin_not_allowed"
    assert cors(answer) == {}
    assert "Origin" in answer.vary
    assert upstream.sent == []


@each_row("origin", FOREIGN)
def test_a_preflight_of_another_origin_allows_nothing(client, origin):
    answer = preflight(client, origin)

    assert cors(answer) == {}
    assert "Origin" in answer.vary


@each_row("origin", FOREIGN)
def test_a_page_of_another_origin_cannot_read_what_it_may_ask(client, origin):
    answer = client.get("/healthz", headers={"Origin": origin})

    assert answer.status_code == 200
    assert cors(answer) == {}
    assert "Origin" in answer.vary


def allowed_headers(client, *names):
    answer = preflight(client, ORIGIN, "/v1/chat/completions", headers=",".join(names))
    allowed = cors(answer).get("Access-Control-Allow-Headers", "")
    return {name.strip() for name in allowed.split(",")} - {""}


def test_the_headers_of_openais_clients_and_of_tracing_pass_the_preflight(client):
    names = "authorization content-type x-stainless-os x-stainless-retry-count openai-organization openai-project"
    names += (
        " idempotency-key last-event-id user-agent baggage sentry-trace traceparent tracestate x-datadog-trace-id"
    )

    assert allowed_headers(client, *names.split()) == set(names.split())
    assert allowed_headers(client, *names.upper().split()) == set(names.upper().split())


def test_no_other_header_passes_the_preflight(client):
    others = (
        "x-user-id",
        "x-stainless",
        "x-stainless-",
        "xx-stainless-os",
        "openai",
        "baggages",
        "x-datadog",
        "cookie",
    )

    assert allowed_headers(client, "content-type", *others) == {"content-type"}


def test_the_owner_may_allow_more_headers(make_app):
    client = make_app(cors_allowed_headers=("X-Tenant", "X-Trace-*")).test_client()

    found = allowed_headers(client, "x-tenant", "x-tenants", "x-trace-id", "x-traceparent", "authorization")

    assert found == {"x-tenant", "x-trace-id", "authorization"}


@pytest.mark.parametrize("name", ["*", "X Tenant", "X-*-Id", "X:Y", "**"])
def test_what_is_no_name_of_a_header_stops_the_start(make_app, name):
    with pytest.raises(ConfigError, match="CORS_ALLOWED_HEADERS"):
        make_app(cors_allowed_headers=(name,))


@each_row("origin", [ORIGIN, SECOND, V6])
@each_row("route", ROUTES)
def test_a_preflight_of_an_allowed_origin_is_answered(client, upstream, origin, route):
    answer = preflight(client, origin, route, headers="content-type, authorization, x-request-id")

    assert answer.status_code in (200, 204)
    allowed = cors(answer)
    assert allowed["Access-Control-Allow-Origin"] == origin
    assert "POST" in allowed["Access-Control-Allow-Methods"]
    headers = {name.strip().lower() for name in allowed["Access-Control-Allow-Headers"].split(",")}
    assert headers >= {"content-type", "authorization", "x-request-id"}
    assert int(allowed["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in allowed
    assert "Access-Control-Allow-Private-Network" not in allowed
    assert "Origin" in answer.vary
    assert answer.data == b""
    assert upstream.sent == []


@each_row(
    ("route", "methods"),
    [
        ("/api/chat", {"POST"}),
        ("/api/limits/user/anna", {"GET", "PUT", "DELETE"}),
        ("/api/tokens", {"POST", "DELETE"}),
        ("/api/chat/stream/s1/stop", {"POST"}),
        ("/api/usage", {"GET"}),
        ("/v1/models", {"GET"}),
    ],
)
def test_a_preflight_names_the_methods_of_its_route(client, route, methods):
    for method in methods:
        named = cors(preflight(client, ORIGIN, route, method))["Access-Control-Allow-Methods"].split(", ")
        assert set(named) - {"HEAD", "OPTIONS"} == methods
        assert "Access-Control-Allow-Methods" not in cors(preflight(client, "https://evil.example", route, method))


def test_a_preflight_does_not_allow_whatever_header_it_asks_for(client):
    answer = preflight(client, ORIGIN, headers="x-evil")

    assert "x-evil" not in str(answer.headers).lower()


def test_credentials_are_allowed_where_they_are_configured_and_only_for_those_origins(make_app):
    client = make_app(cors_credentials=True).test_client()

    for answer in (preflight(client, ORIGIN), client.post("/api/chat", json=CHAT, headers={"Origin": ORIGIN})):
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert cors(client.post("/api/chat", json=CHAT, headers={"Origin": "https://evil.example"})) == {}
    assert cors(preflight(client, "https://evil.example")) == {}


def test_the_sites_own_pages_need_no_permission(client, make_app):
    assert client.post("/api/chat", json=CHAT, headers={"Origin": HERE}).status_code == 200
    alone = make_app(allowed_origins=()).test_client()
    assert alone.post("/api/chat", json=CHAT, headers={"Origin": HERE}).status_code == 200
    assert alone.post("/api/chat", json=CHAT, headers={"Origin": ORIGIN}).status_code == 403


@pytest.fixture
def developed_and_in_production(make_app):
    """Clients of sites that are being developed, with allowed origins and without, and of one in production."""
    secret = {"secret_key": "k" * 40, "auth_required": True}
    in_production = make_app(app_env="production", allowed_origins=(ORIGIN,), **secret)
    return [
        make_app(allowed_origins=allowed).test_client() for allowed in ((), (ORIGIN,))
    ], in_production.test_client()


@each_row("origin", ["http://localhost:5173", "https://localhost", "http://127.0.0.1:3000"])
def test_pages_that_are_being_developed_are_allowed_in_development_only(developed_and_in_production, origin):
    developed, client = developed_and_in_production
    for each in developed:
        answer = each.post("/api/chat", json=CHAT, headers={"Origin": origin})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
        assert preflight(each, origin).headers["Access-Control-Allow-Origin"] == origin

    assert client.post("/api/chat", json=CHAT, headers={"Origin": origin}).json["code"] == "origin_not_allowed"
    assert cors(preflight(client, origin)) == {}


@each_row(
    ("base_url", "origin", "status"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ("http://127.0.0.1:8000", "http://localhost:8000", 200),
        ("http://[::1]:8000", "https://[::1]:8000", 403),
        ("https://chat.example.org", "https://chat.example.org", 200),
        ("https://chat.example.org:443", "https://chat.example.org", 200),
        ("http://chat.example.org:80", "http://chat.example.org", 200),
        ("http://[::1]:8000", "http://[::1]:8000", 200),
    ],
)
def test_the_sites_own_origin_is_the_one_that_the_request_came_to(make_app, base_url, origin, status):
    client = make_app(trusted_hosts=("chat.example.org",)).test_client()
    assert client.post("/api/chat", json=CHAT, base_url=base_url, headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize(("proxies", "status"), [(1, 200), (0, 403)])
def test_behind_a_trusted_proxy_the_sites_own_scheme_is_the_visitors(make_app, proxies, status):
    client = make_app(trusted_proxies=proxies, trusted_hosts=("chat.example.org",)).test_client()
    headers = {"Origin": "https://chat.example.org", "Host": "chat.example.org", "X-Forwarded-Proto": "https"}

    assert client.post("/api/chat", json=CHAT, headers=headers).status_code == status


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_a_forwarded_host_never_makes_an_origin_the_sites_own(make_app, upstream, proxies):
    client = make_app(trusted_proxies=proxies).test_client()
    headers = {
        "Origin": "http://evil.example",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
        "X-Forwarded-Proto": "http",
    }

    assert client.post("/api/chat", json=CHAT, headers=headers).status_code == 403
    assert upstream.sent == []


@each_row("method", ["POST", "PUT", "PATCH", "DELETE"])
@each_row("path", ["/api/chat", "/api/nothing", "/healthz"])
def test_every_unsafe_method_of_another_origin_is_refused_wherever_it_goes(client, method, path):
    assert client.open(path, method=method, headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_program_without_an_origin_may_ask(client):
    answer = client.post("/api/chat", json=CHAT)

    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.vary


@each_row(
    ("method", "path", "data", "status"),
    [
        ("POST", "/api/chat", b"{}", 400),
        ("POST", "/api/chat", b'{"message": "Hi", "model": "other"}', 403),
        ("GET", "/api/chat", None, 405),
        ("POST", "/api/nothing", b"{}", 404),
        ("GET", "/api/nothing", None, 404),
        ("POST", "/api/chat", b"x" * 999, 413),
    ],
)
def test_errors_can_be_read_by_an_allowed_origin(make_app, method, path, data, status):
    client = make_app(max_body_bytes=500).test_client()

    answer = client.open(
        path, method=method, data=data, content_type="application/json", headers={"Origin": ORIGIN}
    )

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.vary


@pytest.mark.one_attempt
def test_an_error_of_the_upstream_and_a_bug_can_be_read_by_an_allowed_origin(client, upstream, monkeypatch):
    upstream.answers(error(), status=429)
    answer = client.post("/api/chat", json=CHAT, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, ORIGIN)
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]

    monkeypatch.setattr("app.openai_service.OpenAIService.chat", None)
    answer = client.post("/api/chat", json=CHAT, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (500, ORIGIN)


def test_a_stream_can_be_read_by_an_allowed_origin(client, upstream):
    upstream.streams(*stream_of("Hi"))

    answer = client.post("/api/chat/stream", json=CHAT, headers={"Origin": ORIGIN})

    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer.vary


def test_vary_names_the_origin_once(client):
    assert client.get("/healthz", headers={"Origin": ORIGIN}).headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("credentials", [False, True])
@pytest.mark.parametrize("origin", [ORIGIN, V6])
def test_headers_added_by_hand_are_those_of_flask_cors(make_app, monkeypatch, credentials, origin):
    settings = {"allowed_origins": (ORIGIN, SECOND, V6), "cors_credentials": credentials}
    by_hand = make_app(**settings).test_client().post("/api/chat", json=CHAT, headers={"Origin": origin})
    monkeypatch.setattr("app.web.origins.add_headers", lambda *_: None)
    by_library = make_app(**settings).test_client()
    # A preflight without the method that it asks for gets what any answer gets.
    answer = by_library.options("/api/chat", headers={"Origin": origin})

    assert cors(by_hand) == cors(answer)
