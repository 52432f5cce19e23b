"""The site of deploy/nginx.conf in Debian's Nginx, before the real gunicorn, before an upstream over real HTTP."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest

from app.cli.doctor import front
from app.cli.nginx_conf import render_site
from app.config import Config
from tests.fakes.servers import (
    ROOT,
    FakeUpstream,
    exchange,
    free_port,
    gunicorn,
    is_listening,
    next_event,
    stop,
    wait_until,
)
from tests.fakes.site import SECRET_KEY
from tests.fakes.tables import crossed

SITE = ROOT / "deploy" / "nginx.conf"
DOCS = ROOT / "docs" / "deploying.md"
OWN_NAME = "    gatehouse.example.com  1;"
SOCKET = "unix:/run/gatehouse/gunicorn.sock"
MAX_BODY_BYTES = 20 * 1024 * 1024
CHAT = {"message": "Hello"}

# What an nginx.conf says as far as it matters, with compression off as in Nginx's own image, and where the site turns it
# on as eager as somebody may have set it.
NGINX_CONF = """
{user}
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    default_type application/octet-stream;
    gzip off;
    gzip_min_length 1;
    gzip_proxied any;
    gzip_types *;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass
class Site:
    """A running Nginx with the site."""

    port: int
    folder: Path

    def get(self, path: str, **options: Any) -> tuple[HTTPResponse, Any]:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> tuple[HTTPResponse, Any]:
        return self.ask("POST", path, body, **options)

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[HTTPResponse, Any]:
        """An answer and its JSON."""
        with exchange(self.port, method, path, body, **options) as response:
            return response, json.loads(response.read())


@pytest.fixture(scope="module")
def nginx_program() -> str:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    return program


@pytest.fixture(scope="module")
def openai() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def backend(openai: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """gunicorn with the application as the unit starts it; its socket."""
    sock = tmp_path_factory.mktemp("run") / "gunicorn.sock"
    with gunicorn(
        "tests.fakes.servers:app_with_probe()",
        wait_for=sock,
        BIND=f"unix:{sock}",
        TRUSTED_PROXIES="1",
        TRUSTED_HOSTS="chat.example.com",
        OPENAI_BASE_URL=openai.url,
        WEB_CONCURRENCY="1",
        SECRET_KEY=SECRET_KEY,
    ):
        yield sock


@pytest.fixture(scope="module")
def site(nginx_program: str, backend: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site as written."""
    with serving(nginx_program, backend, tmp_path_factory.mktemp("nginx"), SITE.read_text("utf-8")) as site:
        yield site


@pytest.fixture(scope="module")
def site_without_gunicorn(nginx_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site with nothing behind it, and one origin whose pages may read its errors."""
    folder = tmp_path_factory.mktemp("nginx")
    example = '    # "https://www.example.com"  $http_origin;'
    text = replaced(SITE.read_text("utf-8"), {example: example.replace("# ", "")})
    with serving(nginx_program, folder / "nobody.sock", folder, text) as site:
        yield site


@contextlib.contextmanager
def serving(
    program: str, backend: Path, folder: Path, text: str, changes: dict[str, str] | None = None
) -> Iterator[Site]:
    """Serve a site's text with its socket, port and log put elsewhere, and nothing else changed."""
    port = free_port()
    changes = {
        SOCKET: f"unix:{backend}",
        "listen 80 default_server;": f"listen 127.0.0.1:{port} default_server;",
        "listen [::]:80 default_server;": "",  # not every machine has IPv6
        OWN_NAME: "    127.0.0.1  1;\n    chat.example.com  1;",
        "/var/log/nginx/gatehouse.log": f"{folder}/access.log",
        "/var/log/nginx/gatehouse-error.log": f"{folder}/site-error.log",
        **(changes or {}),
    }
    assert_nothing_else_of_this_machine(replaced(text, dict.fromkeys(changes, "")))
    text = replaced(text, changes)
    (folder / "site.conf").write_text(text, "utf-8")
    # Started by root it would give up its rights, and with them those to this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, user=user), "utf-8")
    process = subprocess.Popen(
        [program, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or is_listening(("127.0.0.1", port)), "Nginx listens")
        assert process.poll() is None, (folder / "error.log").read_text("utf-8")
        yield Site(port, folder)
    finally:
        stop(process)


def replaced(text: str, replacements: dict[str, str]) -> str:
    """A text in which all of this was there, and was replaced."""
    for old, new in replacements.items():
        assert old in text, f"deploy/nginx.conf has no {old!r}"
        text = text.replace(old, new)
    return text


def assert_nothing_else_of_this_machine(text: str) -> None:
    """A site of which ports and paths were taken away must have none left: no test may meet a real server."""
    in_force = re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)
    assert not re.findall(r"\S*/(?:run|var|etc|usr|opt|home)/\S*|listen \S+", in_force)


def read_text(response: HTTPResponse) -> str:
    return response.read1(100).decode()


def read_token(response: HTTPResponse) -> str:
    return next_event(response)["token"]


TOKENS = ["one", " two", " three", " four"]
OPENAI_CHAT = {"chatSettings": {"model": "gpt-6.1-terra"}, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(
    ("path", "body", "read", "accepted"),
    crossed(
        {
            "events": ("/api/chat/stream", CHAT, read_token),
            "text": ("/api/chat/openai", OPENAI_CHAT, read_text),
        },
        ["identity", "gzip"],
    ),
)
def test_each_token_arrives_before_the_next_is_sent(
    site: Site, openai: FakeUpstream, path: str, body: Any, read: Callable[[HTTPResponse], str], accepted: str
) -> None:
    stream = openai.streams(*TOKENS)
    stream.release(2)  # the role and the first token
    with exchange(site.port, "POST", path, body, headers={"Accept-Encoding": accepted}) as response:
        assert response.status == 200
        assert response.headers["Content-Encoding"] is None
        assert response.headers["X-Accel-Buffering"] == "no"  # for a second Nginx in front
        for token in TOKENS:
            assert read(response) == token
            stream.release()
        stream.release_all()
        response.read()


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "ok", "event by event"),
        # As Nginx does by itself: what comes in HTTP/1.0 it buffers, unless it is told not to.
        ({"proxy_http_version 1.1;": "proxy_ignore_headers X-Accel-Buffering;"}, "fault", "buffers it"),
        pytest.param(
            {"gzip_types application/json": "gzip_types text/event-stream"},
            "warning",
            "A proxy compresses streams (gzip)",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_the_doctor_tells_whether_nginx_lets_streams_through(
    nginx_program: str, backend: Path, tmp_path: Path, changes: dict[str, str], state: str, words: str
) -> None:
    with serving(nginx_program, backend, tmp_path, SITE.read_text("utf-8"), changes) as site:
        found = front.check_url(f"http://127.0.0.1:{site.port}", None, Config(secret_key=SECRET_KEY))
        (stream,) = [each for each in found if each.check == "stream"]
    assert (stream.state, words in stream.sentence) == (state, True), stream


def test_the_doctor_tells_that_nginx_does_not_reach_the_service(site_without_gunicorn: Site) -> None:
    (found,) = front.check_url(f"http://127.0.0.1:{site_without_gunicorn.port}", None, Config())
    assert "cannot reach the service (503)" in found.sentence


def test_answers_in_one_piece_are_compressed(site: Site) -> None:
    # Else the test above would not have shown that event streams are exempt.
    with exchange(site.port, "POST", "/api/chat", CHAT, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(response.read()))["reply"]


def test_what_pages_load_passes_compressed_and_is_not_sent_twice(site: Site) -> None:
    headers = {"Accept-Encoding": "gzip"}
    with exchange(site.port, "GET", "/static/gatehouse.js", headers=headers) as response:
        assert (response.status, response.headers["Content-Encoding"]) == (200, "gzip")
        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Accept-Encoding" in ", ".join(response.headers.get_all("Vary", []))
        packed = response.read()
        assert len(packed) <= 5_000
        assert gzip.decompress(packed) == (ROOT / "app/web/static/gatehouse.js").read_bytes()
        headers["If-None-Match"] = response.headers["ETag"]
    with exchange(site.port, "GET", "/static/gatehouse.js", headers=headers) as response:
        assert response.status == 304


def test_leaving_in_mid_stream_closes_the_connection_to_the_upstream(site: Site, openai: FakeUpstream) -> None:
    stream = openai.streams(*TOKENS)
    stream.release(2)
    with exchange(site.port, "POST", "/api/chat/stream", CHAT) as response:
        assert next_event(response) == {"token": "one"}
    stream.release()
    assert stream.left.wait(timeout=5)


def test_application_sees_the_caller_whatever_the_caller_says(site: Site) -> None:
    lies = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Real-IP": "203.0.113.7",
        "Forwarded": "for=203.0.113.7;proto=https",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    _, seen = site.get("/probe", headers=lies, from_address="127.0.0.2")
    assert seen == {"address": "127.0.0.2", "scheme": "http", "host": f"127.0.0.1:{site.port}"}


def test_behind_another_proxy_its_word_counts_and_nobody_elses(
    nginx_program: str, backend: Path, tmp_path: Path
) -> None:
    (snippet,) = re.findall(r"```nginx\n(set_real_ip_from.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    real_ip = replaced(snippet, {"192.0.2.0/24": "127.0.0.2"})
    with serving(nginx_program, backend, tmp_path, real_ip + SITE.read_text("utf-8")) as site:
        headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
        _, seen = site.get("/probe", headers=headers, from_address="127.0.0.2")
        assert seen["address"] == "203.0.113.7"
        _, seen = site.get("/probe", headers=headers, from_address="127.0.0.3")
        assert seen["address"] == "127.0.0.3"


def test_made_up_scheme_does_not_turn_a_foreign_origin_into_the_sites_own(site: Site) -> None:
    host = f"chat.example.com:{site.port}"
    headers = {"Host": host, "Origin": f"https://{host}", "X-Forwarded-Proto": "https"}
    response, body = site.post("/api/chat", CHAT, headers=headers)
    assert (response.status, body["code"]) == (403, "origin_not_allowed")
    response, body = site.post("/api/chat", CHAT, headers={"Host": host, "Origin": f"http://{host}"})
    assert response.status == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_was_rebound_to_the_site_is_not_the_sites_own(
    site: Site, openai: FakeUpstream, scheme: str
) -> None:
    asked = len(openai.received)
    for headers in (
        {"Host": "evil.example", "X-Forwarded-Proto": scheme},
        {"Host": f"evil.example:{site.port}", "X-Forwarded-Host": "127.0.0.1"},
    ):
        headers["Origin"] = f"{scheme}://{headers['Host']}"
        with (
            contextlib.suppress(RemoteDisconnected),
            exchange(site.port, "POST", "/api/chat", CHAT, headers=headers) as answer,
        ):
            assert answer.status in (403, 421)
        del headers["Origin"]
        with (
            contextlib.suppress(RemoteDisconnected),
            exchange(site.port, "GET", "/api/usage", headers=headers) as answer,
        ):
            assert answer.status == 421
    assert len(openai.received) == asked


def test_with_the_tls_lines_the_sites_own_https_origin_is_accepted(
    nginx_program: str, backend: Path, tmp_path: Path
) -> None:
    port = free_port()
    certificate, key = self_signed(tmp_path)
    live = "/etc/letsencrypt/live/gatehouse.example.com"
    changes = {
        "listen 443 ssl http2 default_server;": f"listen 127.0.0.1:{port} ssl http2 default_server;",
        "listen [::]:443 ssl http2 default_server;": "",
        f"{live}/fullchain.pem": str(certificate),
        f"{live}/privkey.pem": str(key),
    }
    with serving(nginx_program, backend, tmp_path, with_tls(SITE.read_text("utf-8")), changes) as site:
        context = ssl.create_default_context(cafile=certificate)
        with contextlib.closing(HTTPSConnection("127.0.0.1", port, timeout=10, context=context)) as connection:
            headers = {"Content-Type": "application/json", "Origin": f"https://127.0.0.1:{port}"}
            connection.request("POST", "/api/chat", json.dumps(CHAT), headers)
            assert connection.getresponse().status == 200
        with exchange(site.port, "GET", "/docs?page=1") as response:
            assert response.status == 308
            assert response.headers["Location"] == "https://127.0.0.1/docs?page=1"
        with exchange(site.port, "GET", "/", headers={"Host": "evil.example"}) as response:
            assert response.status == 421


def with_tls(text: str) -> str:
    """The site after the command by which docs/deploying.md switches it to https."""
    (script,) = re.findall(r"sudo sed -i '(.*plain http.*)' /etc", DOCS.read_text("utf-8"))
    sed = subprocess.run(["sed", script], input=text, capture_output=True, text=True, check=True)
    return sed.stdout


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], capture_output=True, check=True)
    return certificate, key


def test_body_of_the_largest_size_passes(site: Site) -> None:
    head, end = b'{"prompt":"Hi","imageUrl":"data:image/png;base64,', b'"}'
    content = head + b"A" * (MAX_BODY_BYTES - len(head + end)) + end
    response, body = site.post("/api/vision", content, headers={"Content-Type": "application/json"})
    assert (response.status, body["code"]) == (400, "invalid_image")


def test_larger_body_gets_413_in_the_form_of_the_applications_errors(site: Site) -> None:
    response, body = site.post("/api/chat", b" " * (MAX_BODY_BYTES + 1))
    assert response.status == 413
    assert response.headers["Content-Type"] == "application/json"
    assert body == {
        "error": "The body is larger than this server accepts.",
        "code": "body_too_large",
        "requestId": response.headers["X-Request-ID"],
    }


def test_error_of_nginx_below_v1_has_openais_form(site_without_gunicorn: Site) -> None:
    response, body = site_without_gunicorn.post("/v1/chat/completions", {})
    assert response.status == 503
    assert body == {
        "error": {
            "message": "The server is not there at the moment; try again shortly.",
            "type": "server_error",
            "param": None,
            "code": "draining",
        }
    }


def test_error_of_nginx_to_a_page_that_reads_text_is_a_message(site_without_gunicorn: Site) -> None:
    for path in ("/api/chat/openai", "/api/chat/openai?a=b"):
        _, body = site_without_gunicorn.post(path, {})
        assert body == {"message": "The server is not there at the moment; try again shortly."}


def test_a_server_that_is_not_there_is_503_with_a_time_to_wait(site_without_gunicorn: Site) -> None:
    page = {"X-Request-ID": "page-7.a_B", "Origin": "https://www.example.com"}
    response, body = site_without_gunicorn.post("/api/chat", CHAT, headers=page)
    assert (response.status, response.headers["Retry-After"]) == (503, "3")
    assert body["code"] == "draining"
    assert body["requestId"] == response.headers["X-Request-ID"] == "page-7.a_B"
    assert response.headers["Access-Control-Allow-Origin"] == page["Origin"]
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


def test_a_server_that_does_not_answer_is_503_with_another_code(nginx_program: str, tmp_path: Path) -> None:
    hangs = tmp_path / "hangs.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(hangs))
        silent.listen()
        hangs.chmod(0o666)
        changes = {"proxy_read_timeout 75s;": "proxy_read_timeout 1s;"}
        with serving(nginx_program, hangs, tmp_path, SITE.read_text("utf-8"), changes) as site:
            response, body = site.post("/api/chat", CHAT)
    assert (response.status, response.headers["Retry-After"]) == (503, "3")
    assert body["code"] == "upstream_timeout"
    assert "Access-Control-Allow-Origin" not in response.headers


LONG_NAME = "portal.of-a-customer-with-a-long-name.staging.company.example-hosting.com"
ORIGINS = (
    "https://www.example.com",
    "capacitor://localhost",
    "http://localhost:5173",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    f"https://{LONG_NAME}:8443",
)


def test_the_printed_site_serves_what_the_settings_say(nginx_program: str, tmp_path: Path) -> None:
    config = Config(
        bind=SOCKET, request_timeout_s=180, max_body_bytes=30_000, max_json_bytes=2_000, allowed_origins=ORIGINS
    )
    text = render_site(SITE.read_text("utf-8"), config, ["gatehouse.example.com", "B.example.com", LONG_NAME])
    assert "proxy_read_timeout 195s;" in text

    with serving(nginx_program, tmp_path / "nobody.sock", tmp_path, text) as site:
        for host, status in (("b.example.com", 503), (LONG_NAME, 503), (LONG_NAME.replace(".", "x"), 421)):
            response, _ = site.ask("POST", "/api/chat", b"{}", headers={"Host": host})
            assert response.status == status, host
        for origin in (*ORIGINS, "https://evil.example", f"https://{LONG_NAME}:84433"):
            for size, status in ((30_000, 503), (30_001, 413)):
                response, _ = site.ask("POST", "/api/chat", b"x" * size, headers={"Origin": origin})
                allowed = response.headers.get("Access-Control-Allow-Origin")
                assert (response.status, allowed) == (status, origin if origin in ORIGINS else None)


def test_the_printed_site_with_a_certificate_is_accepted(nginx_program: str, tmp_path: Path) -> None:
    config = Config(
        host="::1", metrics_allow=("10.0.0.0/24", "::1"), cors_credentials=True, trusted_hosts=("a.example",)
    )
    text = render_site(SITE.read_text("utf-8"), config, ["a.example"], tls=True)
    assert "server [::1]:8000;" in text
    assert "#tls" not in text
    assert "gatehouse.example.com" not in text
    assert check_site(nginx_program, tmp_path, text) == ""


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("count", "pattern"),
    [
        (100, "{}.example"),
        pytest.param(150, "{}.example", marks=pytest.mark.thorough),
        pytest.param(400, "{}.example", marks=pytest.mark.thorough),
        pytest.param(1_500, "{}.example", marks=pytest.mark.thorough),
        (500, "{}." + "a" * 60 * 3),
    ],
)
def test_the_site_of_many_names_and_origins_is_accepted_without_a_warning(
    nginx_program: str, tmp_path: Path, count: int, pattern: str, tls: bool
) -> None:
    names = [pattern.format(number) for number in range(count)]
    config = Config(allowed_origins=tuple(f"https://{name}" for name in names))
    text = render_site(SITE.read_text("utf-8"), config, names, tls=tls)
    assert (
        check_site(nginx_program, tmp_path, text, "server { listen 127.0.0.1:LISTEN; server_name x.example; }")
        == ""
    )


def check_site(program: str, folder: Path, text: str, other: str = "") -> str:
    """What Nginx says against a site, beside another one."""
    for file in self_signed(folder):
        name = {"certificate.pem": "fullchain.pem", "key.pem": "privkey.pem"}[file.name]
        text = re.sub(rf"/etc/letsencrypt/live/\S*/{name}", str(file), text)
    ports = {"80": free_port(), "443": free_port()}
    text = re.sub(r"(#tls )? *listen \[::\]:.*", "", text)  # not every machine has IPv6
    text = re.sub(r"listen (80|443)", lambda found: f"listen 127.0.0.1:{ports[found[1]]}", text)
    # With another site at a port, Nginx has to look the names up.
    text += "".join(f"{other}\n".replace("LISTEN", str(port)) for port in ports.values())
    (folder / "site.conf").write_text(text.replace("/var/log/nginx/", f"{folder}/"), "utf-8")
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, user=""), "utf-8")
    command = [program, "-t", "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in tested.stderr.splitlines() if "[emerg]" in line or "[warn]" in line]
    assert bool(tested.returncode) == any("[emerg]" in line for line in said)
    return "\n".join(said)


def test_no_log_of_nginx_has_a_query_string(site_without_gunicorn: Site) -> None:
    response, body = site_without_gunicorn.get("/api/usage?token=canary")
    assert response.status == 503
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    folder = site_without_gunicorn.folder
    wait_until(lambda: body["requestId"] in (folder / "access.log").read_text("utf-8"), "the line of the request")
    assert not [file.name for file in folder.glob("*.log") if "canary" in file.read_text("utf-8")]


def test_request_id_of_another_form_is_replaced(site_without_gunicorn: Site) -> None:
    for made_up in ('x","error":"', "a" * 65, "é"):
        headers = {"X-Request-ID": made_up}
        response, body = site_without_gunicorn.get("/api/usage", headers=headers)
        assert re.fullmatch("[0-9a-f]{32}", body["requestId"])
        assert response.headers["X-Request-ID"] == body["requestId"]


def test_page_of_an_allowed_origin_can_read_an_error_of_nginx(site_without_gunicorn: Site) -> None:
    for origin, allowed in [
        ("https://www.example.com", "https://www.example.com"),
        ("https://www.example.com.evil.example", None),
        ("null", None),
    ]:
        response, _ = site_without_gunicorn.post("/api/chat", CHAT, headers={"Origin": origin})
        assert response.headers["Access-Control-Allow-Origin"] == allowed
        assert response.headers["Access-Control-Expose-Headers"] == (allowed and "Retry-After, X-Request-ID")
        assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.2", "localhost", "127.0.0.1.evil.example"])
def test_a_request_for_another_name_is_refused(site: Site, host: str) -> None:
    for path in ("/api/chat", "/healthz"):
        response, body = site.get(path, headers={"Host": host})
        assert (response.status, body["code"]) == (421, "forbidden")


def test_one_address_with_slow_bodies_leaves_the_others_served(site: Site) -> None:
    head = b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
    with contextlib.ExitStack() as crowd:
        socks = []
        for _ in range(766):
            sock = socket.create_connection(("127.0.0.1", site.port), 10, source_address=("127.0.0.9", 0))
            crowd.callback(sock.close)
            sock.sendall(head)
            socks.append(sock)
        # Before that some wait to be accepted, and Nginx may take the connection of whoever has not asked yet for them.
        wait_until(lambda: len(select.select(socks, [], [], 0)[0]) >= 766 - 200, "the crowd is answered")

        response, _ = site.post("/api/chat", CHAT)

        assert response.status == 200
        refused = select.select(socks, [], [], 0)[0]
        answer = refused[0].recv(4096)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 1\r\n" in answer
        assert b'"code":"rate_limited"' in answer


def test_errors_of_the_application_pass_unchanged(site: Site) -> None:
    response, body = site.post("/api/chat", {}, headers={"X-Request-ID": "mine"})
    assert response.status == 400
    assert body["error"] != "The request is not valid HTTP."
    assert body["requestId"] == response.headers["X-Request-ID"] == "mine"


def test_nginx_logs_the_id_that_the_application_answers_with(site: Site) -> None:
    response, body = site.get("/nowhere?secret=1")
    assert response.status == 404
    assert body["requestId"] == response.headers["X-Request-ID"]
    log = site.folder / "access.log"
    line = f'127.0.0.1 "GET /nowhere" 404 request_id={body["requestId"]} '
    wait_until(lambda: line in log.read_text("utf-8"), "the request is logged", timeout_s=5)
    assert "secret" not in log.read_text("utf-8")


def test_log_of_nginxs_own_errors_has_what_was_asked(site_without_gunicorn: Site) -> None:
    site_without_gunicorn.post("/api/chat?secret=1", CHAT, headers={"X-Request-ID": "logged"})
    log = site_without_gunicorn.folder / "access.log"
    line = '127.0.0.1 "POST /api/chat" 503 request_id=logged '
    wait_until(lambda: line in log.read_text("utf-8"), "the request is logged", timeout_s=5)


@pytest.mark.parametrize(
    "path", ["/metrics", "//metrics", "/%6detrics", "/api/../metrics", "/metrics/", "/metrics?a"]
)
def test_metrics_are_not_open_to_the_outside(site: Site, path: str) -> None:
    response, body = site.get(path)
    assert (response.status, body["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /api/usage HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"400"),
    ],
    ids=["two hosts", "nonsense", "long path", "long header"],
)
def test_what_nginx_cannot_read_gets_json(site: Site, request_head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
        sock.sendall(request_head)
        head, _, body = b"".join(iter(lambda: sock.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert json.loads(body)["code"] == "invalid_request"
