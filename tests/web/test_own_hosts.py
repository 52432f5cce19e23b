"""Which pages are the site's own: a Host is not believed, since DNS can be rebound."""

from __future__ import annotations

import logging

import pytest

from tests.fakes.tables import each_row

CHAT = {"message": "Hi"}
SECRET_KEY = "s" * 32
# Safe settings, of which a production server needs some.
PRODUCTION = {"app_env": "production", "secret_key": SECRET_KEY, "auth_required": True}


def ask_as_own_page(client, host, scheme="http", **headers):
    """What a page gets that was loaded from this host, be it by DNS rebinding."""
    headers = {"Host": host, "Origin": f"{scheme}://{host}", "Sec-Fetch-Site": "same-origin", **headers}
    return client.post("/api/chat", json=CHAT, headers=headers)


@pytest.fixture
def client(make_app):
    return make_app(secret_key=SECRET_KEY).test_client()


@each_row(
    "host",
    [
        "localhost",
        "localhost:8000",
        "app.localhost:3000",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "LOCALHOST",
    ],
)
def test_in_development_pages_of_this_machine_are_the_sites_own(client, host):
    assert ask_as_own_page(client, host.lower(), Host=host).status_code == 200


@each_row(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example:8000",
        "localhost.",
        "127.0.0.1.evil.example",
        "127.1",
        "2130706433",
        "192.168.1.5:8000",
        "0.0.0.0:8000",
        "[::]:8000",
        "notlocalhost",
    ],
)
def test_a_rebound_name_is_not_the_sites_own(client, upstream, host):
    answer = ask_as_own_page(client, host)

    assert (answer.status_code, answer.json["code"]) == (403, "origin_not_allowed")
    assert upstream.sent == []


@each_row(
    ("hosts", "host", "is_own"),
    [
        ((), "chat.example.org", False),
        ((), "localhost", False),
        (("chat.example.org",), "chat.example.org", True),
        (("chat.example.org",), "chat.example.org:8443", True),
        (("chat.example.org:8443",), "chat.example.org:8443", True),
        (("chat.example.org:8443",), "chat.example.org", False),
        (("chat.example.org:80",), "chat.example.org", True),
        (("chat.example.org:443",), "chat.example.org", False),
        (("chat.example.org",), "a.chat.example.org", False),
        (("chat.example.org",), "chat.example.org.", False),
        (("chat.example.org",), "chat.example.org.evil.example", False),
        (("chat.example.org",), "localhost", False),
        (("[2001:db8::1]:8000",), "[2001:db8::1]:8000", True),
    ],
)
def test_in_production_only_named_hosts_are_the_sites_own(make_app, hosts, host, is_own):
    client = make_app(**PRODUCTION, trusted_hosts=hosts).test_client()

    # Without a credential, so what passes ends with 401.
    assert ask_as_own_page(client, host).status_code == (401 if is_own else 403)


@pytest.mark.parametrize("proxies", [0, 1])
def test_no_header_stands_in_for_the_host(make_app, proxies):
    client = make_app(trusted_proxies=proxies).test_client()
    lies = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost", "X-Host": "localhost"}

    assert ask_as_own_page(client, "evil.example", **lies).status_code == 403
    assert (
        client.post("/api/chat", json=CHAT, headers={"Origin": "http://evil.example", **lies}).status_code == 403
    )


@each_row("origin", ["null", "", "http://", "http://[::1]:1", "https://[::1]", "http://localhost/"])
def test_only_the_origin_of_the_same_host_is_the_sites_own(client, origin):
    assert client.post("/api/chat", json=CHAT, headers={"Origin": origin}).status_code == 403


def test_under_a_foreign_name_there_is_no_session(make_app):
    client = make_app(secret_key=SECRET_KEY, auth_required=True).test_client()
    assert "Set-Cookie" not in client.get("/", headers={"Host": "evil.example", "Accept": "text/html"}).headers
    cookie = client.get("/", headers={"Accept": "text/html"}).headers["Set-Cookie"].partition(";")[0]

    assert (
        client.post("/api/chat", json=CHAT, headers={"Cookie": cookie, "Origin": "http://localhost"}).status_code
        == 200
    )
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {}):
        headers |= {"Cookie": cookie, "Host": "evil.example"}
        assert client.post("/api/chat", json=CHAT, headers=headers).status_code == 401


def test_a_rebound_page_cannot_read_what_an_address_alone_may(client, make_app):
    """Its requests to read have no Origin."""
    for app_client in (client, make_app(trusted_hosts=("chat.example.org",)).test_client()):
        answer = app_client.get("/api/usage", headers={"Host": "evil.example:8000"})
        assert (answer.status_code, answer.json["code"]) == (421, "host_not_trusted")
        assert app_client.get("/console/fault", headers={"Host": "evil.example"}).status_code == 421
        assert app_client.get("/healthz", headers={"Host": "evil.example"}).status_code == 200
    assert client.get("/api/usage", headers={"Host": "localhost:8000"}).status_code != 421
    # Programs call under any name: with a credential, or with what no page can leave out.
    assert client.get("/api/usage", headers={"Host": "gatehouse", "Authorization": "Bearer x"}).status_code == 401
    assert client.post("/api/chat", json=CHAT, headers={"Host": "gatehouse:8000"}).status_code == 200


@pytest.fixture(params=[{}, PRODUCTION], ids=["development", "production"])
def measured(make_app, request):
    app = make_app(**request.param, metrics_allow=("127.0.0.0/8",), trusted_hosts=("chat.example.org",))
    return app.test_client()


@each_row(
    ("host", "status"),
    [
        # Prometheus asks an address, a service, or the site's name.
        ("10.0.0.5:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[2001:db8::1]:8000", 200),
        ("localhost:8000", 200),
        ("gatehouse:8000", 200),
        ("gatehouse_1:8000", 200),
        ("GATEHOUSE:8000", 200),
        ("gatehouse-0.gatehouse.default.svc.cluster.local:8000", 200),
        ("gatehouse.default.svc:8000", 200),
        ("ip-10-0-0-5.eu-west-1.compute.internal:8000", 200),
        ("chat.example.org", 200),
        ("chat.example.org:8443", 200),
        # A page of these could have been loaded from elsewhere.
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("a.chat.example.org", 421),
        ("localhost.evil.example:8000", 421),
        ("10.0.0.5.evil.example:8000", 421),
        ("internal.evil.example", 421),
        ("xlocal.example", 421),
        ("evil.example.", 421),
        ("gatehouse.", 421),
        ("2130706433:8000", 421),
        ("127.1:8000", 421),
        ("gatehouse:8000:1", 421),
    ],
)
def test_a_rebound_page_cannot_read_the_metrics(measured, host, status):
    answer = measured.get("/metrics", headers={"Host": host})
    stranger = measured.get("/metrics", headers={"Host": host}, environ_base={"REMOTE_ADDR": "203.0.113.1"})

    assert answer.status_code == status
    assert status == 200 or answer.json["code"] == "host_not_trusted"
    assert stranger.status_code == 404


class TestARefusedOrigin:
    @pytest.fixture(autouse=True)
    def _logged(self, client, monkeypatch):
        monkeypatch.setattr(logging.getLogger("app"), "propagate", True)

    def lines(self, caplog):
        return [record for record in caplog.records if record.message in ("origin.refused", "host.refused")]

    def test_a_host_that_may_not_read_the_metrics_is_told_once_a_minute(self, make_app, caplog, clock):
        client = make_app(metrics_allow=("127.0.0.1",)).test_client()
        logging.getLogger("app").propagate = True
        for _ in range(3):
            client.get("/metrics", headers={"Host": "prometheus.example"})
        clock.move(61)
        client.get("/metrics", headers={"Host": "prometheus.example"})

        assert [record.host for record in self.lines(caplog)] == ["prometheus.example"] * 2
        assert "TRUSTED_HOSTS" in self.lines(caplog)[0].hint

    @pytest.mark.parametrize("is_preflight", [True, False])
    def test_is_told_once_a_minute(self, client, caplog, clock, is_preflight):
        def ask(origin):
            if is_preflight:
                client.options("/api/chat", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
            else:
                client.post("/api/chat", json=CHAT, headers={"Origin": origin})

        for origin in ["https://forgotten.example"] * 5 + ["capacitor://localhost"]:
            ask(origin)
        told = self.lines(caplog)
        assert [line.origin for line in told] == ["https://forgotten.example", "capacitor://localhost"]
        assert {(line.levelname, line.route) for line in told} == {("WARNING", "/api/chat")}
        assert "ALLOWED_ORIGINS" in told[0].hint
        clock.move(61)
        ask("https://forgotten.example")
        assert len(self.lines(caplog)) == 3

    def test_of_the_requests_own_host_names_the_other_setting(self, client, caplog):
        ask_as_own_page(client, "chat.example.org")
        client.get("/api/usage", headers={"Host": "chat.example.org"})

        assert ["TRUSTED_HOSTS" in line.hint for line in self.lines(caplog)] == [True, True]

    def test_of_a_proxy_that_is_not_trusted_names_that_setting(self, make_app, caplog, monkeypatch):
        # The proxy speaks https, which the server does not know.
        client = make_app(trusted_hosts=("chat.example.org",)).test_client()
        monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
        headers = {"Origin": "https://chat.example.org", "Host": "chat.example.org"}
        assert client.post("/api/chat", json=CHAT, headers=headers).status_code == 403

        assert ["TRUSTED_PROXIES" in line.hint for line in self.lines(caplog)] == [True]

    def test_does_not_fill_the_log_with_what_a_caller_makes_up(self, client, caplog, clock):
        for number in range(200):
            client.post("/api/chat", json=CHAT, headers={"Origin": f"https://x{number}.example" + "y" * 5_000})

        told = self.lines(caplog)
        assert len(told) == 30
        assert all(len(line.origin) <= 200 for line in told)
        clock.move(61)
        client.post("/api/chat", json=CHAT, headers={"Origin": "https://forgotten.example"})
        assert self.lines(caplog)[-1].origin == "https://forgotten.example"

    def test_is_not_told_of_an_origin_that_is_allowed(self, client, caplog):
        client.options(
            "/api/chat", headers={"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
        )
        client.options(
            "/api/chat", headers={"Origin": "https://www.example.com", "Access-Control-Request-Method": "POST"}
        )
        client.options("/api/chat", headers={"Origin": "https://evil.example"})  # not a preflight

        assert self.lines(caplog) == []
