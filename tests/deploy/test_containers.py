"""The Containerfile, deploy/compose.yml and deploy/kubernetes agree with one another and with the application.

No engine is needed: what the image is made of is copied into a folder, and what Nginx gets is run by this machine's.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from app.config import Config
from app.runtime.version import find_version
from app.storage.database.postgres_driver import POOL_SIZE
from tests.fakes.servers import (
    ROOT,
    exchange,
    free_port,
    gunicorn,
    is_listening,
    read_gunicorn_settings,
    stop,
    wait_until,
)

DEPLOY = ROOT / "deploy"
CONTAINERFILE = (ROOT / "Containerfile").read_text("utf-8")
LINES = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", CONTAINERFILE)).splitlines()
SITE_SCRIPT = DEPLOY / "containers" / "site.sh"
SECRETS = {
    "OPENAI_API_KEY": "sk-test-0123456789",
    "SECRET_KEY": "s" * 40,
    "DATABASE_URL": "postgresql+psycopg://a@b/c",
}


def instructions(name: str) -> list[str]:
    """What stands behind each instruction of the Containerfile's last stage that has this name."""
    last = max(number for number, line in enumerate(LINES) if line.startswith("FROM "))
    return [line.removeprefix(f"{name} ") for line in LINES[last:] if line.startswith(f"{name} ")]


def read_yaml(path: str) -> list[dict[str, Any]]:
    """The documents of a file, with the variables of compose at their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / path).read_text("utf-8"))
    return list(yaml.safe_load_all(text))


(COMPOSE,) = read_yaml("compose.yml")
NODES = {name: COMPOSE["services"][name] for name in ("app1", "app2")}
(POD,) = [each["spec"]["template"]["spec"] for each in read_yaml("kubernetes/statefulset.yml")]
(POD_CONTAINER,) = POD["containers"]
OF_IMAGE = dict(part.split("=", 1) for part in shlex.split(instructions("ENV")[0]))
OF_COMPOSE = NODES["app1"]["environment"]
OF_KUBERNETES = dict(
    line.split("=", 1) for line in (DEPLOY / "kubernetes" / "settings.env").read_text("utf-8").split()
)
SETTINGS = {"image": OF_IMAGE, "compose": {**OF_IMAGE, **OF_COMPOSE}, "kubernetes": {**OF_IMAGE, **OF_KUBERNETES}}


def to_megabytes(text: str) -> int:
    return int(text.rstrip("gGi")) * 1024


def to_seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the Containerfile makes, made by its COPY lines; without packages, which are this environment's.

    The bytecode that this checkout has is copied as well, so that a start does not compile all of it.
    """
    folder = tmp_path_factory.mktemp("image")
    copies = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    allowed = (ROOT / ".containerignore").read_text("utf-8").splitlines()
    for *sources, target in copies:
        for source in sources:
            assert f"!{source}" in allowed, f"{source} never reaches the builder"
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("*.sqlite3*")
                shutil.copytree(ROOT / source, folder / target, ignore=ignored)
            else:
                shutil.copy(ROOT / source, folder / target)
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("0123456789abcdef0123456789abcdef01234567\n")
    return folder


@pytest.fixture(scope="module")
def settings_of_image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a start: that of the image, secrets, and folders to write to."""
    folder = str(tmp_path_factory.mktemp("data"))
    own = {"PATH": os.environ["PATH"], "AUTH_REQUIRED": "true", "ALLOWED_ORIGINS": "https://chat.example.com"}
    own |= {"STATE_DIR": folder, "DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/x"}
    return {**OF_IMAGE, **SECRETS, **own}


@pytest.fixture(scope="module")
def gunicorn_settings(image: Path, settings_of_image: dict[str, str]) -> dict[str, str]:
    """What gunicorn makes of the image's gunicorn.conf.py, which needs what it imports there."""
    read, _ = read_gunicorn_settings(image, **settings_of_image)
    return read


def test_the_image_has_what_gunicorn_needs_and_its_version(image: Path, gunicorn_settings: dict[str, str]) -> None:
    names = {file.name for file in image.iterdir()}

    assert gunicorn_settings["bind"] == f"['{OF_IMAGE['HOST']}:{OF_IMAGE['PORT']}']"
    assert find_version(image) == "0123456789ab"
    assert {"wsgi.py", "app", "server", "prompts", "schemas", "tools"} <= names
    assert "tests" not in names


@pytest.mark.thorough
def test_the_image_has_all_that_a_start_needs(image: Path, settings_of_image: dict[str, str]) -> None:
    program = "import wsgi; from pathlib import Path; from app.runtime.version import find_version; print(find_version(Path()))"
    bytecode = set(image.rglob("*.pyc"))

    _, printed = read_gunicorn_settings(image, program, **settings_of_image)

    assert printed.strip() == "0123456789ab"
    assert set(image.rglob("*.pyc")) == bytecode, "none is written, also not of wsgi.py"


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_every_variable_is_a_setting_and_production_starts_with_them(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    named = {name.removesuffix("_FILE") for name in SETTINGS[where]}
    assert named - known == {"PATH", "PYTHONDONTWRITEBYTECODE"}

    values = {name: value for name, value in SETTINGS[where].items() if name in known or name.endswith("_FILE")}
    for name in list(values):
        if secret := name.removesuffix("_FILE") if name.endswith("_FILE") else None:
            (tmp_path / secret).write_text(SECRETS[secret])
            values[name] = str(tmp_path / secret)
    for name in known:
        monkeypatch.delenv(name, raising=False)
    config = Config.from_env(file_values=values)

    assert (config.app_env, config.host, config.trusted_proxies) == ("production", "0.0.0.0", 1)
    assert config.auth_required
    assert config.redis_url


@pytest.mark.parametrize("where", SETTINGS)
def test_the_root_is_read_only_and_what_is_written_is_mounted(where: str) -> None:
    folders = {SETTINGS[where]["STATE_DIR"], SETTINGS[where]["DATA_DIR"]}
    if where == "image":
        (made,) = [line for line in instructions("RUN") if "mkdir -p" in line]
        assert all(folder in made for folder in folders)
        assert instructions("USER") == ["10001:10001"]
    elif where == "compose":
        for node in [*NODES.values(), COMPOSE["services"]["batches"]]:
            mounts = {mount.split(":")[-1] for mount in node["volumes"]}
            assert mounts | {mount.split(":")[0] for mount in node["tmpfs"]} == {*folders, "/tmp"}
            assert (node["read_only"], node["user"], node["cap_drop"]) == (True, "10001:10001", ["ALL"])
    else:
        mounts = {mount["mountPath"] for mount in POD_CONTAINER["volumeMounts"]}
        secrets = {str(Path(value).parent) for name, value in OF_KUBERNETES.items() if name.endswith("_FILE")}
        assert mounts == {*folders, *secrets, "/tmp"}
        assert POD_CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
        assert (POD["securityContext"]["runAsNonRoot"], POD["securityContext"]["runAsUser"]) == (True, 10001)


def test_addresses_and_ports_are_the_same_everywhere() -> None:
    port = OF_IMAGE["PORT"]
    front = ipaddress.ip_network(COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    addresses = [node["networks"]["front"]["ipv4_address"] for node in NODES.values()]
    listed = [f"{address}:{port}" for address in addresses]
    (prometheus,) = read_yaml("monitoring/prometheus.yml")

    assert instructions("EXPOSE") == [port]
    assert {values["PORT"] for values in SETTINGS.values()} == {port}
    assert OF_COMPOSE["METRICS_ALLOW"] == str(front)
    assert all(ipaddress.ip_address(address) in front for address in addresses)
    assert COMPOSE["services"]["nginx"]["environment"]["NODES"].split() == listed
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == listed
    assert prometheus["scrape_configs"][0]["job_name"] == "gatehouse"
    assert [each["containerPort"] for each in POD_CONTAINER["ports"]] == [int(port)]
    (template,) = [each["spec"]["template"] for each in read_yaml("kubernetes/statefulset.yml")]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == port
    ports = [each for service in read_yaml("kubernetes/service.yml") for each in service["spec"]["ports"]]
    assert {each["targetPort"] for each in ports} == {POD_CONTAINER["ports"][0]["name"]}


def test_the_workers_of_all_nodes_fit_into_memory_and_the_connections_of_postgres() -> None:
    workers = int(OF_COMPOSE["WEB_CONCURRENCY"])
    assert workers * 150 <= to_megabytes(NODES["app1"]["mem_limit"])
    assert (
        len(NODES) * workers + 1
    ) * POOL_SIZE <= 97  # the default of max_connections, less those of administrators
    assert int(OF_KUBERNETES["WEB_CONCURRENCY"]) * 150 <= to_megabytes(
        POD_CONTAINER["resources"]["limits"]["memory"]
    )


def test_batches_are_settled_by_a_command_that_is_there_and_no_visitor_reaches(app: Flask) -> None:
    (deployment,) = read_yaml("kubernetes/batches.yml")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    command = COMPOSE["services"]["batches"]["command"]
    assert container["command"] == command
    assert command[0] == "flask"
    helped = app.test_cli_runner().invoke(args=[*command[1:], "--help"])
    assert helped.exit_code == 0
    assert "settle those that have ended" in helped.stdout
    selectors = [each["spec"]["selector"] for each in read_yaml("kubernetes/service.yml")]
    assert pod["metadata"]["labels"] not in selectors
    for name in ("securityContext", "volumeMounts", "envFrom", "image"):
        assert container[name] == POD_CONTAINER[name]
    (own,) = [each for each in pod["spec"]["volumes"] if each["name"] == "secrets"]
    assert own in POD["volumes"]


def test_all_that_is_probed_exists(app: Flask) -> None:
    routes = {rule.rule for rule in app.url_map.iter_rules()}
    probes = [POD_CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]

    assert {probe["path"] for probe in probes} == {"/healthz", "/readyz"} <= routes
    assert POD_CONTAINER["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert POD_CONTAINER["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert {probe["port"] for probe in probes} == {"http"}
    assert set(re.findall(r"\{os\.environ\['PORT'\]\}(/\w+)", CONTAINERFILE)) <= routes


def test_a_stop_leaves_the_time_that_answers_may_take(gunicorn_settings: dict[str, str]) -> None:
    graceful = int(gunicorn_settings["graceful_timeout"])
    waited = int(POD_CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])

    assert all(to_seconds(node["stop_grace_period"]) >= graceful + 10 for node in NODES.values())
    assert POD["terminationGracePeriodSeconds"] >= waited + graceful + 10
    # A pod that drains must have left the Service before: after so many probes that failed.
    ready = POD_CONTAINER["readinessProbe"]
    assert waited >= ready["periodSeconds"] * ready["failureThreshold"]
    assert ready["timeoutSeconds"] < ready["periodSeconds"]


def test_every_file_that_is_mounted_or_listed_exists() -> None:
    sources = [
        mount.split(":")[0]
        for service in COMPOSE["services"].values()
        for mount in service.get("volumes", [])
        if mount.startswith(".")
    ]
    assert len(sources) >= 8
    assert not [source for source in sources if not (DEPLOY / source).exists()]
    used = {secret for service in COMPOSE["services"].values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    named = {
        mount.split(":")[0] for service in COMPOSE["services"].values() for mount in service.get("volumes", [])
    }
    assert {name for name in named if not name.startswith(".")} == set(COMPOSE["volumes"])

    (kustomization,) = read_yaml("kubernetes/kustomization.yml")
    files = {file.name for file in (DEPLOY / "kubernetes").iterdir()}
    envs = {name for each in kustomization["configMapGenerator"] for name in each["envs"]}
    assert {*kustomization["resources"], *envs, "kustomization.yml"} == files


def test_the_objects_of_kubernetes_name_one_another() -> None:
    objects = [
        each
        for file in sorted((DEPLOY / "kubernetes").glob("*.yml"))
        for each in read_yaml(f"kubernetes/{file.name}")
    ]
    by_kind = {each["kind"]: each for each in objects}
    (stateful,) = read_yaml("kubernetes/statefulset.yml")
    labels = stateful["spec"]["template"]["metadata"]["labels"]

    assert by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"] == {
        "apiVersion": stateful["apiVersion"],
        "kind": "StatefulSet",
        "name": stateful["metadata"]["name"],
    }
    assert stateful["spec"]["serviceName"] in {e["metadata"]["name"] for e in objects if e["kind"] == "Service"}
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    metrics = by_kind["HorizontalPodAutoscaler"]["spec"]["metrics"]
    known = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert [each["pods"]["metric"]["name"] in known for each in metrics if each["type"] == "Pods"] == [True]


def make_site(folder: Path, *, name: str, nodes: str, tls: Path | None = None) -> str:
    """What deploy/containers/site.sh makes of deploy/nginx.conf."""
    given = {
        "SITE_NAME": name,
        "NODES": nodes,
        "SITE": str(DEPLOY / "nginx.conf"),
        "OUTPUT": str(folder / "site.conf"),
    }
    given["TLS"] = str(tls or folder / "none")
    subprocess.run(["sh", SITE_SCRIPT], env={"PATH": os.environ["PATH"], **given}, check=True)
    return (folder / "site.conf").read_text("utf-8")


def test_the_site_of_containers_has_its_nodes_and_no_place_of_a_machines(tmp_path: Path) -> None:
    text = make_site(tmp_path, name="chat.example.org", nodes="10.0.0.1:8000 10.0.0.2:8000")
    in_force = re.sub(r"(?m)(^|\s)#.*", "", text)

    assert re.findall(r"^ +server (\S+) max_fails", text, re.MULTILINE) == ["10.0.0.1:8000", "10.0.0.2:8000"]
    assert "gatehouse.example.com" not in text
    assert "proxy_next_upstream error timeout;" in in_force
    assert "non_idempotent" not in in_force
    assert re.findall(r"listen (\S+)", in_force) == ["8080", "[::]:8080"]
    assert not re.findall(r"\S*/(?:run|var|etc|usr|opt|home)/\S*", in_force)

    (tmp_path / "fullchain.pem").touch()
    with_tls = re.sub(r"(?m)(^|\s)#.*", "", make_site(tmp_path, name="a.b", nodes="c:1", tls=tmp_path))
    # 8080 is left for the redirect.
    assert sorted(re.findall(r"listen (\S+)", with_tls)) == ["8080", "8443", "[::]:8080", "[::]:8443"]
    assert re.findall(r"ssl_certificate(?:_key)? (\S+);", with_tls) == [
        f"{tmp_path}/fullchain.pem",
        f"{tmp_path}/privkey.pem",
    ]


@pytest.mark.servers
def test_a_node_that_is_away_costs_nobody_a_request(tmp_path: Path) -> None:
    """The site of containers before one node that runs as the image does, and one that is away."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    port, away, front = free_port(), free_port(), free_port()
    text = make_site(tmp_path, name="127.0.0.1", nodes=f"127.0.0.1:{away} 127.0.0.1:{port}")
    text = text.replace("listen 8080 ", f"listen 127.0.0.1:{front} ").replace(
        "listen [::]:8080 default_server;", ""
    )
    text = text.replace("/dev/stdout", f"{tmp_path}/access.log").replace("/dev/stderr", f"{tmp_path}/site.log")
    (tmp_path / "site.conf").write_text(text, "utf-8")
    paths = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; {'user root;' if os.geteuid() == 0 else ''}"
        f"events {{}} http {{ client_body_temp_path {tmp_path}/body; {paths} include {tmp_path}/site.conf; }}"
    )
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "TRUSTED_PROXIES": "1", "METRICS_ALLOW": "127.0.0.1"}
    with gunicorn(wait_for=port, **settings, WEB_CONCURRENCY="1"):
        nginx = subprocess.Popen(
            [program, "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"]
        )
        try:
            wait_until(lambda: is_listening(("127.0.0.1", front)), "Nginx listens")
            statuses = []
            for _ in range(6):
                with exchange(front, "POST", "/api/chat", {"message": "Hello"}) as answer:
                    statuses.append(answer.status)
                    assert json.loads(answer.read())["reply"]
            with exchange(front, "GET", "/metrics") as answer:
                assert answer.status == 403
            (health,) = [json.loads(line.partition("CMD ")[2]) for line in instructions("HEALTHCHECK")]
            subprocess.run([sys.executable, *health[1:]], env={**os.environ, "PORT": str(port)}, check=True)
            gone = subprocess.run(
                [sys.executable, *health[1:]],
                env={**os.environ, "PORT": str(away)},
                capture_output=True,
                check=False,
            )
        finally:
            stop(nginx)
    assert statuses == [200] * 6
    assert gone.returncode != 0
