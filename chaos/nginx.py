"""Run Nginx in front of the tested servers, with a given site, in a separate folder."""

import os
import shutil
from pathlib import Path

from bench.procs import BenchError, Process

_CONF = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    {paths}
    include {folder}/site.conf;
}}
"""
_KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def start_nginx(site: str, folder: Path) -> Process:
    """Start Nginx with the text of a site."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise BenchError("Nginx is not installed (Debian: apt-get install nginx-light)")
    (folder / "site.conf").write_text(site)
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in _KINDS)
    # As root, Nginx would run its workers as the user "nobody", who cannot access the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_CONF.format(folder=folder, paths=paths, user=user))
    command = [program, "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", f"{folder}/nginx.conf"]
    return Process("nginx", command, folder / "nginx.out", env={"PATH": os.environ["PATH"]}, cwd=folder)
