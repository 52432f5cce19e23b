"""Two nodes, each in its own network namespace if that is allowed, their stores and the Nginx of deploy/containers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.procs import Process, running
from bench.targets import free_port
from chaos.killing.upstream import MODEL, PRICES
from chaos.nginx import start_nginx
from chaos.nodes.network import Network, Place
from chaos.run import until_ready
from chaos.server import Gunicorn
from chaos.settings import ROOT, Settings, environment
from tests.fakes.storage.redis_server import RedisServer, redis_server
from tests.fakes.storage.stores import PostgresDatabase, postgres_server


@dataclass
class Node:
    """One server, which can be killed and started again on its port, with its own journal."""

    place: Place
    port: int
    folder: Path
    settings: dict[str, str]
    server: Gunicorn

    def start_again(self) -> None:
        self.server = Gunicorn(self.folder / "log", self.settings, self.place.prefix)

    async def until_ready(self) -> None:
        await until_ready(self.server, self.port, self.place.address)


@dataclass
class Site:
    """The complete body."""

    port: int
    nodes: list[Node]
    postgres: PostgresDatabase
    redis: RedisServer

    @property
    def url(self) -> str:
        return self.nodes[0].settings["DATABASE_URL"]


@contextmanager
def running_site(folder: Path, network: Network, upstream_port: int) -> Iterator[Site]:
    """Start everything except the upstream, and stop it when the block ends. The nodes may not answer yet."""
    with ExitStack() as stack:
        postgres = PostgresDatabase(stack.enter_context(postgres_server()))
        redis = stack.enter_context(redis_server(folder, network.address))
        (folder / "prices.toml").write_text(PRICES)
        shared = {
            "CHAT_MODEL": MODEL,
            "CHAT_FALLBACK_MODELS": "none",
            "REQUEST_TIMEOUT_S": "30",
            "FIRST_TOKEN_TIMEOUT_S": "20",
            "IDLE_TIMEOUT_S": "20",  # a busy machine is no fault of the site
            "BREAKER_FAILURES": "1000",
            "MAX_CONCURRENT_STREAMS": "1000",
            "USER_BUDGET_USD": "10",
            "TRUSTED_PROXIES": "1",
            "PRICES_FILE": str(folder / "prices.toml"),
            "DATABASE_URL": postgres.url.replace("postgresql:", "postgresql+psycopg:"),
            "REDIS_URL": redis.url,
            "OPENAI_BASE_URL": f"http://{network.address}:{upstream_port}/v1",
        }
        nodes = [
            _build_node(folder / f"node{number}", place, upstream_port, shared)
            for number, place in enumerate(network.places, 1)
        ]
        for node in nodes:
            stack.callback(lambda node=node: node.server.stop())
        port = free_port()
        stack.enter_context(running(_start_front(folder, port, nodes)))
        yield Site(port, nodes, postgres, redis)


def _build_node(folder: Path, place: Place, upstream_port: int, shared: dict[str, str]) -> Node:
    (folder / "state").mkdir(parents=True)
    port = free_port()
    own = environment(Settings(), port, upstream_port, folder / "state") | shared
    own |= {"DATA_DIR": str(folder / "data"), "HOST": place.address}
    return Node(place, port, folder, own, Gunicorn(folder / "log", own, place.prefix))


def _start_front(folder: Path, port: int, nodes: list[Node]) -> Process:
    given = {
        "SITE_NAME": "x",
        "NODES": " ".join(f"{node.place.address}:{node.port}" for node in nodes),
        "SITE": str(ROOT / "deploy" / "nginx.conf"),
        "OUTPUT": str(folder / "site.conf"),
        "TLS": str(folder / "none"),
    }
    script = str(ROOT / "deploy" / "containers" / "site.sh")
    subprocess.run(["sh", script], env={"PATH": os.environ["PATH"], **given}, check=True)
    site = (folder / "site.conf").read_text()
    site = site.replace("listen 8080 ", f"listen 127.0.0.1:{port} ").replace(
        "listen [::]:8080 default_server;", ""
    )
    site = site.replace("/dev/stdout", f"{folder}/access.log").replace("/dev/stderr", f"{folder}/site.log")
    return start_nginx(site, folder)
