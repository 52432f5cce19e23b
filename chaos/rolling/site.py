"""Two nodes that share their database and state, and the printed Nginx site in front of them."""

import re
from pathlib import Path

from app.cli.nginx_conf import render_site
from app.config import Config
from bench.procs import Process
from chaos.nginx import start_nginx
from chaos.server import Gunicorn
from chaos.settings import ROOT


def start_node(number: int, port: int, upstream_port: int, folder: Path) -> Gunicorn:
    """Start one node."""
    env = {
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "OPENAI_API_KEY": "sk-rolling",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "MAX_STREAM_SHARE": "1",
        "TRUSTED_PROXIES": "1",
        "STATE_DIR": str(folder),
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder}/gatehouse.sqlite3",
    }
    return Gunicorn(folder / f"node-{number}.log", env)


def start_front(port: int, node_ports: list[int], folder: Path) -> Process:
    """Start Nginx with the site that `flask nginx-conf` prints, without its limits of one address, which all share here."""
    text = render_site((ROOT / "deploy/nginx.conf").read_text(), Config(port=node_ports[0]), ["127.0.0.1"])
    servers = "\n    ".join(f"server 127.0.0.1:{node} max_fails=1 fail_timeout=2s;" for node in node_ports)
    text = text.replace(f"server 127.0.0.1:{node_ports[0]};", servers)
    text = re.sub(r"^ *(limit_(conn|req)\b.*|listen \[::\].*)\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^limit_(conn|req)_zone.*\n", "", text, flags=re.MULTILINE)
    # As docs/operations.md has it for several nodes.
    text = text.replace("proxy_next_upstream off;", "proxy_next_upstream error timeout;")
    text = text.replace("listen 80 ", f"listen 127.0.0.1:{port} ").replace("/var/log/nginx/", f"{folder}/")
    return start_nginx(text, folder)
