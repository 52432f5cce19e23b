"""`flask doctor`: each check says ok, warning or fault in a sentence, with a hint, and never shows a secret."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from app.cli.doctor import database, files, front, keys, machine, models, redis_server, timeouts
from app.cli.doctor import examine as examine_module
from app.cli.doctor.examine import examine
from app.config import Config
from app.runtime import doctor_probe
from tests.fakes.servers import ROOT, free_port
from tests.fakes.site import SECRET_KEY

KEY = "sk-canary-0123456789"
BROKEN = {"PATH": os.environ["PATH"], "MAX_TOKENS": "canary", "FLASK_APP": f"{ROOT}/wsgi.py:app"}
MODELS = ("gpt-6.1-terra", "gpt-6-luna", "text-embedding-3-small")


class Upstream(ThreadingHTTPServer):
    """Lists models to those with the right key."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Models)
        self.models, self.status, self.late_s = MODELS, 200, 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Models(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        is_known = self.headers["authorization"] == f"Bearer {KEY}"
        body = json.dumps({"object": "list", "data": [{"id": model} for model in server.models]}).encode()
        self.send_response_only(server.status if is_known else 401)
        self.send_header("Date", formatdate(time.time() - server.late_s, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def openai(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with Upstream() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def told(findings):
    return {(finding.check, finding.state) for finding in findings}


def states(findings):
    return [finding.state for finding in findings]


def config_at(server, **settings):
    own = {"openai_api_key": KEY, "openai_base_url": server.url, "chat_fallback_models": ("gpt-6-luna",)}
    return Config(**own | settings)


class TestUpstream:
    def test_a_good_key_with_the_models_and_a_clock_that_agrees(self, openai):
        found = list(keys.check_keys(config_at(openai)))
        assert told(found) == {("key", "ok"), ("models", "ok"), ("clock", "ok")}, found

    def test_each_of_several_keys_is_tried(self, openai):
        found = list(keys.check_keys(config_at(openai, openai_api_keys=("sk-canary-revoked-1",))))

        assert [f.state for f in found if f.check == "key"] == ["ok", "fault"]
        assert "Key 2 of 2 is refused" in found[1].sentence
        assert "canary" not in str(found)

    @pytest.mark.parametrize(
        ("status", "check", "state"),
        [(403, "key", "fault"), (404, "base url", "fault"), (429, "key", "fault"), (500, "key", "fault")],
    )
    def test_what_the_upstream_answers_is_told(self, openai, status, check, state):
        openai.status = status
        (found,) = keys.check_keys(config_at(openai))
        assert (found.check, found.state) == (check, state)
        assert str(status) in found.sentence

    def test_an_upstream_that_is_not_there(self):
        (found,) = keys.check_keys(Config(openai_base_url=f"http://127.0.0.1:{free_port()}/v1"))
        assert (found.check, found.state) == ("base url", "fault")
        assert "ConnectionRefusedError" in found.sentence

    def test_a_model_that_the_upstream_does_not_list(self, openai):
        openai.models = ("gpt-6-luna",)
        assert ("models", "fault") in told(keys.check_keys(config_at(openai)))

    @pytest.mark.parametrize(("late_s", "word"), [(120, "ahead of"), (-120, "behind")])
    def test_a_wrong_clock(self, openai, late_s, word):
        openai.late_s = late_s
        (found,) = [each for each in keys.check_keys(config_at(openai)) if each.check == "clock"]
        assert found.state == "fault"
        assert word in found.sentence

    def test_prices_and_shutdowns(self, tmp_path):
        local = {"openai_base_url": "http://127.0.0.1:9/v1", "chat_model": "my-own", "chat_fallback_models": ()}
        assert ("prices", "warning") in told(models.check_models(tmp_path, Config(**local)))
        assert ("prices", "fault") in told(models.check_models(tmp_path, Config(**local, user_budget_usd=1)))
        found = models.check_models(tmp_path, Config(openai_api_key=KEY, chat_model="gpt-4-0613"))
        assert "shutdown" in {each.check for each in found}
        assert told(models.check_models(tmp_path, Config(openai_api_key=KEY))) == {("prices", "ok")}

    def test_the_offline_model_is_said(self):
        assert states(keys.check_keys(Config())) == ["warning"]


class TestMachine:
    def test_this_installation_is_sound(self, tmp_path):
        assert states(machine.check_python(ROOT)) == ["ok"]
        assert states(machine.check_packages(ROOT)) == ["ok"]
        config = Config(database_url=f"sqlite:///{tmp_path}/a.sqlite3")
        assert states(machine.check_sqlite(tmp_path, config)) == ["ok"]
        assert not list(tmp_path.iterdir())

    def test_a_package_of_another_version_or_a_missing_one(self, tmp_path):
        (tmp_path / "requirements.txt").write_text(
            "flask==0.1 \\\n    --hash=sha256:0\nno-such==1.0 \\\nold==1.0 ; python_version < '3.0'\n"
        )
        (found,) = machine.check_packages(tmp_path)
        assert found.state == "fault"
        assert "flask is 3." in found.sentence
        assert "no-such is missing" in found.sentence
        assert "old" not in found.sentence

    def test_a_network_file_system_is_no_place_for_sqlite(self, tmp_path, monkeypatch):
        monkeypatch.setattr(machine, "find_file_system", lambda _: "nfs4")
        (found,) = machine.check_sqlite(tmp_path, Config(database_url=f"sqlite:///{tmp_path}/a.sqlite3"))
        assert (found.state, "nfs4" in found.sentence) == ("fault", True)

    def test_a_sqlite_with_the_bug(self, tmp_path, monkeypatch):
        monkeypatch.setattr(machine, "has_safe_wal", lambda _: False)
        assert states(machine.check_sqlite(tmp_path, Config(database_url=f"sqlite:///{tmp_path}/a.sqlite3"))) == [
            "warning"
        ]

    def test_the_file_system_is_that_of_the_deepest_mount(self):
        assert machine.find_file_system(Path("/proc/self")) == "proc"

    def test_too_few_open_files(self, monkeypatch):
        monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1024, 1024))
        assert states(machine.check_limits(Config())) == ["warning"]
        assert states(machine.check_limits(Config(max_concurrent_streams=100))) == ["ok"]


class TestFiles:
    @pytest.mark.parametrize(("mode", "state"), [(0o600, "ok"), (0o640, "ok"), (0o644, "fault"), (0o602, "fault")])
    def test_nobody_else_may_read_the_settings(self, tmp_path, mode, state):
        path = tmp_path / ".env"
        path.write_text("OPENAI_API_KEY=sk-canary\n")
        path.chmod(mode)
        (found,) = files.check_env_file(tmp_path)
        assert found.state == state
        assert "canary" not in str(found)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_an_owner_who_has_no_business_there(self, tmp_path, monkeypatch):
        (tmp_path / ".env").write_text("")
        (tmp_path / ".env").chmod(0o640)
        os.chown(tmp_path / ".env", 12_345, -1)
        monkeypatch.setattr(files.os, "access", lambda *_: True)
        (found,) = files.check_env_file(tmp_path)
        assert (found.state, "user 12345" in found.sentence) == ("warning", True)
        (tmp_path / "gatehouse.service").write_text("[Service]\nUser=service\n")
        monkeypatch.setattr(files, "_name", lambda _: "service")
        assert states(files.check_env_file(tmp_path, tmp_path)) == ["ok"]

    @pytest.fixture
    def open_folder(self):
        """A folder that everybody enters: those of pytest are in one that nobody else does."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            yield Path(folder)

    def test_files_of_secrets_are_for_nobody_else_either(self, open_folder, monkeypatch):
        (open_folder / "key").write_text("sk-canary\n")
        (open_folder / ".env").write_text(f"OPENAI_API_KEY_FILE={open_folder}/key\n")
        (open_folder / ".env").chmod(0o600)
        (open_folder / "key").chmod(0o644)
        monkeypatch.setenv("SECRET_KEY_FILE", f"{open_folder}/nowhere")
        (found,) = files.check_secret_files(open_folder)
        assert found.state == "fault"
        assert "OPENAI_API_KEY_FILE: key is open" in found.sentence
        assert "canary" not in str(found)
        open_folder.chmod(0o700)  # nobody else gets at the file
        assert not list(files.check_secret_files(open_folder))
        open_folder.chmod(0o755)
        monkeypatch.setattr(files, "_OF_CONTAINERS", open_folder)
        assert not list(files.check_secret_files(open_folder))
        monkeypatch.undo()
        (open_folder / "key").chmod(0o640)
        assert not list(files.check_secret_files(open_folder))

    def test_root_is_told_that_the_service_is_another_user(self, tmp_path, monkeypatch):
        monkeypatch.setattr(files.os, "geteuid", lambda: 0)
        assert not list(files.check_user(tmp_path, tmp_path))
        shutil.copy(ROOT / "deploy" / "gatehouse.service", tmp_path)
        (found,) = files.check_user(tmp_path, tmp_path)
        assert (found.state, found.hint) == ("warning", f"sudo -u gatehouse {tmp_path}/.venv/bin/flask doctor")
        monkeypatch.setattr(files.os, "geteuid", lambda: 1_000)
        assert not list(files.check_user(tmp_path, tmp_path))

    def test_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "instance").write_text("")
        assert "fault" in states(files.check_folders(tmp_path, Config()))

    def test_a_folder_that_cannot_be_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(files.os, "access", lambda *_: False)
        assert states(files.check_folders(tmp_path, Config())) == ["fault"]

    def test_folders_that_are_made_at_the_first_start(self, tmp_path):
        assert states(files.check_folders(tmp_path, Config())) == ["ok"]
        assert stat.S_ISDIR(tmp_path.stat().st_mode)


class TestStores:
    def test_a_file_that_can_be_written_and_one_that_is_none(self, tmp_path):
        url = f"sqlite:///{tmp_path}/a.sqlite3"
        assert states(database.check_database(tmp_path, Config(database_url=url))) == ["ok"]
        assert not (tmp_path / "a.sqlite3").exists()
        (tmp_path / "a.sqlite3").write_bytes(b"not a database" * 100)
        assert states(database.check_database(tmp_path, Config(database_url=url))) == ["fault"]

    @pytest.mark.parametrize("check", ["database", "redis"])
    def test_a_server_that_is_not_there(self, tmp_path, check):
        port = free_port()
        if check == "database":
            config = Config(database_url=f"postgresql+psycopg://me:canary@127.0.0.1:{port}/gatehouse")
            (found,) = database.check_database(tmp_path, config)
        else:
            (found,) = redis_server.check_redis(Config(redis_url=f"redis://:canary@127.0.0.1:{port}/0"))
        assert (found.check, found.state) == (check, "fault")
        assert "refused" in found.sentence.lower()
        assert "canary" not in str(found)

    def test_without_redis_nothing_is_said(self):
        assert not list(redis_server.check_redis(Config()))


class TestTimeouts:
    def check(self, tmp_path, site="", unit="", nginx="", **settings):
        (tmp_path / "sites-enabled").mkdir(exist_ok=True)
        (tmp_path / "sites-enabled" / "gatehouse").write_text(site)
        (tmp_path / "nginx.conf").write_text(nginx)
        (tmp_path / "gatehouse.service").write_text(unit)
        return list(timeouts.check_timeouts(Config(**settings), tmp_path, tmp_path))

    def test_the_shipped_files_fit_the_defaults(self, tmp_path):
        site, unit = ((ROOT / "deploy" / name).read_text() for name in ("nginx.conf", "gatehouse.service"))
        assert states(self.check(tmp_path, site, unit)) == ["ok"]

    def test_each_that_does_not_fit_the_settings_is_told(self, tmp_path):
        site, unit = ((ROOT / "deploy" / name).read_text() for name in ("nginx.conf", "gatehouse.service"))
        found = self.check(tmp_path, site, unit, request_timeout_s=180, max_body_bytes=50_000_000, heartbeat_s=200)
        assert [each.sentence.split()[0] for each in found] == [
            "HEARTBEAT_S",
            "proxy_read_timeout",
            "client_max_body_size",
            "TimeoutStopSec",
        ]
        late = self.check(tmp_path, site.replace("keepalive_timeout 3s", "keepalive_timeout 10s"), unit)
        assert "keepalive_timeout" in late[0].sentence

    def test_too_few_open_files_of_the_unit(self, tmp_path):
        (found,) = self.check(tmp_path, unit="[Service]\nLimitNOFILE=65536\nLimitNOFILE=1024\n")
        assert (found.check, found.state, "1024" in found.sentence) == ("limits", "warning", True)

    def test_a_site_that_buffers_streams_whatever_the_application_says(self, tmp_path):
        site = (ROOT / "deploy" / "nginx.conf").read_text()
        site = site.replace("proxy_request_buffering on;", "proxy_ignore_headers Expires X-Accel-Buffering;")
        (found,) = self.check(tmp_path, site)
        assert (found.state, "X-Accel-Buffering" in found.sentence) == ("warning", True)

    @pytest.mark.parametrize(
        ("nginx", "found"),
        [
            ("worker_processes 2;\nevents { worker_connections 768; }", [("limits", "warning")]),
            ("worker_processes 2;\nevents { worker_connections 1000; }", [("timeouts", "ok")]),
            ("events { }", [("timeouts", "ok")]),
        ],
    )
    def test_connections_for_all_streams(self, tmp_path, nginx, found):
        site = (ROOT / "deploy" / "nginx.conf").read_text()
        checked = self.check(tmp_path, site, nginx=nginx)
        assert [(each.check, each.state) for each in checked] == found
        assert states(self.check(tmp_path, "", nginx=nginx)) == ["ok"]  # Nginx serves something else

    def test_a_site_of_another_program_is_left_alone(self, tmp_path):
        assert states(self.check(tmp_path, "location / { proxy_pass http://x; proxy_read_timeout 1s; }")) == ["ok"]


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass


@contextmanager
def served(app):
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def buffering(app):
    """The application behind something that collects each answer."""

    def handle(environ, start_response):
        pieces = app(environ, start_response)
        try:
            return [b"".join(pieces)]
        finally:
            pieces.close()

    return handle


class TestFront:
    ORIGIN = "https://www.example.com"

    @pytest.fixture
    def app(self, make_app):
        return make_app(secret_key=SECRET_KEY)

    @pytest.fixture
    def look(self, app):
        config = app.extensions["gatehouse"].config

        def look(wsgi=app, origin=None, config=config):
            with served(wsgi) as url:
                return {each.check: each for each in front.check_url(url, origin, config)}

        return look

    def test_a_site_that_works(self, look):
        found = look(origin=self.ORIGIN)
        assert {name: each.state for name, each in found.items()} == {"url": "ok", "stream": "ok", "cors": "ok"}

    def test_what_buffers_streams_is_found(self, look, app):
        assert look(buffering(app))["stream"].state == "fault"

    def test_an_origin_that_is_not_allowed(self, look):
        assert look(origin="https://evil.example")["cors"].state == "fault"

    def test_another_secret_here_than_there(self, look):
        assert look(config=Config(secret_key="o" * 40))["stream"].state == "warning"

    def test_something_else_that_answers(self, look):
        def other(_, start_response):
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<h1>Welcome to nginx!</h1>"]

        assert look(other)["url"].state == "fault"

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("308 Permanent Redirect", "redirect (308), to https://chat.example.com."),
            ("421 Misdirected Request", "is not one of the site's names"),
            ("503 Service Unavailable", "cannot reach the service"),
            ("401 Unauthorized", "requires a credential"),
            ("404 Not Found", "answers 404"),
        ],
    )
    def test_what_stands_in_front_is_told_apart(self, look, status, words):
        def front_door(_, start_response):
            start_response(status, [("Location", "https://chat.example.com/healthz")])
            return [b"{}"]

        found = look(front_door)["url"]
        assert (found.state, words in found.sentence) == ("fault", True), found

    def test_a_stream_that_breaks_off_hides_nothing(self, look, app):
        def breaking_off(environ, start_response):
            if environ["PATH_INFO"] != doctor_probe.PATH:
                return app(environ, start_response)
            start_response("200 OK", [("Content-Length", "5")])
            return [b"1"]

        found = look(breaking_off, origin=self.ORIGIN)
        assert (found["stream"].state, "is incomplete" in found["stream"].sentence) == ("fault", True)
        assert found["cors"].state == "ok"

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:1",
            "https://127.0.0.1:1",
            "chat.example.com",
            "ftp://x",
            "http://[::1",
            "http://a:99999",
            "https://me:canary@127.0.0.1:1",
        ],
    )
    def test_nothing_that_answers(self, url):
        found = list(front.check_url(url, None, Config()))
        assert "fault" in states(found)
        assert "canary" not in str(found)

    def test_the_test_stream_is_for_the_doctor_only(self, app, clock):
        client = app.test_client()
        signed = doctor_probe.sign(SECRET_KEY)

        def ask(value):
            return client.get(doctor_probe.PATH, headers={doctor_probe.HEADER: value} if value else {}).status_code

        assert ask(signed) == 200
        assert [ask(value) for value in (None, "", "x", doctor_probe.sign("o" * 40), signed + "x")] == [404] * 5
        assert make_unsigned(app) == 404

    @pytest.mark.parametrize(
        ("origin", "state"),
        [
            ("https://www.example.com", "ok"),
            ("https://chat.example.com", "ok"),
            ("https://www.example.com/", "fault"),
        ],
    )
    def test_an_origin_by_the_settings_alone(self, origin, state):
        config = Config(allowed_origins=(self.ORIGIN,), trusted_hosts=("chat.example.com",))
        assert states(front.check_settings(config, origin)) == [state]


def make_unsigned(app):
    return app.test_client().get(doctor_probe.PATH, headers={doctor_probe.HEADER: "probe"}).status_code


class TestCommand:
    @pytest.fixture
    def run(self, make_app, openai, tmp_path, monkeypatch):
        monkeypatch.setattr("app.cli.doctor.command._ROOT", ROOT)
        app = make_app(
            openai_base_url=openai.url, database_url=f"sqlite:///{tmp_path}/a.sqlite3", secret_key=SECRET_KEY
        )
        return lambda *args: app.test_cli_runner().invoke(args=["doctor", *args])

    def test_all_is_well(self, run):
        result = run()
        assert result.exit_code == 0, result.output
        assert "ok       key: The key is accepted by http://127.0.0.1" in result.output
        assert "canary" not in result.output

    def test_a_fault_is_exit_status_1_and_in_the_json(self, run, openai):
        openai.status = 401
        result = run("--json")
        report = json.loads(result.output)
        assert (result.exit_code, report["ok"]) == (1, False)
        assert all(set(each) == {"check", "state", "sentence", "hint"} for each in report["findings"])
        assert all(each["hint"] for each in report["findings"] if each["state"] != "ok")

    def test_it_works_where_nothing_else_does(self, monkeypatch):
        monkeypatch.setattr(os, "environ", BROKEN)
        monkeypatch.setattr(sys, "argv", ["/usr/bin/flask", "doctor", "--json"])
        monkeypatch.delitem(sys.modules, "gunicorn.arbiter", raising=False)  # by which wsgi.py knows gunicorn
        spec = importlib.util.spec_from_file_location("wsgi_of_doctor", ROOT / "wsgi.py")
        wsgi = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(wsgi)

        result = wsgi.app.test_cli_runner().invoke(args=["doctor", "--json"])

        self.assert_tells_the_setting(result.exit_code, result.stdout)

    @pytest.mark.thorough
    def test_it_works_where_nothing_else_does_as_a_program(self):
        command = [str(Path(sys.executable).parent / "flask"), "doctor", "--json"]
        done = subprocess.run(command, cwd=ROOT, env=BROKEN, capture_output=True, text=True, check=False)

        self.assert_tells_the_setting(done.returncode, done.stdout)

    def assert_tells_the_setting(self, exit_status, output):
        report = json.loads(output)
        assert exit_status == 1
        assert [each["sentence"] for each in report["findings"] if each["check"] == "settings"] == [
            "MAX_TOKENS must be a whole number."
        ]

    def test_unknown_names_in_the_file_are_told(self, tmp_path):
        (tmp_path / ".env").write_text("OPENAI_KEY=sk-canary\n")
        (tmp_path / ".env").chmod(0o600)
        faults = [each.sentence for each in examine(tmp_path) if each.check == "settings"]
        assert any("OPENAI_KEY is not a setting" in each for each in faults)
        assert "canary" not in str(faults)

    def test_a_setting_at_fault_is_no_bug_of_a_check(self, tmp_path):
        config = Config(database_url="mysql://me:canary@db.example/x")
        found = list(examine(tmp_path, config, problems=["DATABASE_URL must begin with …"]))
        assert [(each.state, "bug" in each.hint) for each in found if each.check == "database"] == [
            ("warning", False)
        ]
        assert "canary" not in str(found)

    def test_a_check_that_fails_itself_hides_no_other(self, tmp_path, monkeypatch):
        def check_python(_):
            raise RuntimeError("canary")
            yield

        monkeypatch.setattr(examine_module.machine, "check_python", check_python)
        found = list(examine(tmp_path, Config()))
        assert (found[0].check, found[0].state) == ("python", "fault")
        assert len(found) > 5
        assert "canary" not in str(found)
