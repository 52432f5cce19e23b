"""Report why the server cannot start, or cannot reload its settings. Before a reload, this runs as a program."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
# Usually it takes three seconds. An overloaded machine takes many times that, and settings are often changed then.
# Meanwhile, the arbiter does not replace killed workers.
_TIMEOUT_S = 60.0


def find_problem(cfg: Any, *, own_addresses: Collection[Any] = ()) -> str | None:
    """Return why a server with this configuration of gunicorn cannot start; None if there is no known problem.

    Args:
        cfg: gunicorn's configuration, including its command line.
        own_addresses: the addresses on which this server already listens.
    """
    ours = sys.modules["__config__"]  # gunicorn.conf.py
    if unwritable := ours.find_unwritable():
        return "\n".join(unwritable)
    if "GUNICORN_FD" in os.environ or "LISTEN_FDS" in os.environ:
        return None
    name = ours.bind_name if ",".join(cfg.bind) == ours.bind else "-b"
    problems = (_find_bind_problem(address, name) for address in cfg.address if address not in own_addresses)
    return next(filter(None, problems), None)


def guard_reload(server: Any) -> None:
    """Test each reload in a separate process first. If the settings are invalid, the server continues with its old ones.

    gunicorn alone would end the arbiter, or end up without workers.
    """
    reload = server.reload

    def reload_if_possible() -> None:
        own = json.dumps([list(each) if isinstance(each, tuple) else each for each in server.cfg.address])
        command = [sys.executable, "-m", "server.arbiter.start_check", own, *sys.argv[1:]]
        try:
            done = subprocess.run(  # noqa: S603
                command, cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
            fault = done.stderr.strip() if done.returncode else ""
            has_failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            fault, has_failed = (
                f"The new settings could not be tested within {_TIMEOUT_S:.0f} s: reload again under less load.",
                True,
            )
        except OSError as error:
            reason = error.strerror or type(error).__name__
            fault, has_failed = f"The new settings could not be tested: {reason}.", True
        if has_failed:
            server.log.error("The reload is refused; the server continues with its old settings.\n%s", fault)
            return
        reload()

    server.reload = reload_if_possible


def _find_bind_problem(address: Any, name: str) -> str | None:
    """Return why an address cannot be listened on.

    Args:
        address: as parsed by gunicorn: a host and a port, the path of a socket, or an open file descriptor.
        name: where it was set: HOST, BIND or -b.
    """
    if isinstance(address, int):
        return None
    if not isinstance(address, tuple):
        return _find_socket_problem(Path(os.fsdecode(address)))
    host, port = address[:2]
    where = f"{host}:{port}"
    named = f"HOST={host}" if name == "HOST" else f"{name}: {host}"
    better = "set HOST=127.0.0.1, or 0.0.0.0 for all." if name == "HOST" else "use 127.0.0.1, or 0.0.0.0 for all."
    if not 0 <= port < 2**16:
        return f"{where} has an invalid port: it must be from 1 to 65535."
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, target = found[0]
    except (OSError, ValueError):
        return f"{named} is not an address or name of this machine: {better}"
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
            probe.listen(1)
        except OSError as error:
            return {
                errno.EADDRINUSE: f"{where} is already in use, perhaps by another Gatehouse: stop that server, or set another PORT.",
                errno.EACCES: f"{where} requires root: set a PORT above 1023, with a proxy such as Nginx in front.",
                errno.EADDRNOTAVAIL: f"{named} is not an address of this machine: {better}",
            }.get(error.errno or 0, f"{where} cannot be listened on ({error.strerror}): check HOST and PORT.")
    return None


def _find_socket_problem(path: Path) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {folder} for the socket of BIND: create it."
    if path.exists() and not path.is_socket():
        return f"{path} exists and is not a socket: set another path in BIND, or move that file."
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder}, the folder for the socket of BIND, cannot be written: chown it to the server's user."
    return None


def main() -> None:
    """Load the settings and the application like gunicorn, and exit with a message if that fails."""
    from gunicorn.app.wsgiapp import WSGIApplication

    own = [tuple(each) if isinstance(each, list) else each for each in json.loads(sys.argv[1])]
    sys.argv = ["gunicorn", *sys.argv[2:]]
    app = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]")
    if problem := find_problem(app.cfg, own_addresses=own):
        sys.exit(problem)
    app.load()


if __name__ == "__main__":
    main()
