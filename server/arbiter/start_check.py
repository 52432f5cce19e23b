"""Say in plain words why the server cannot start, or cannot take new settings; run as a program, before a reload."""

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
# Three seconds are usual; a machine at its limit takes many times that, and that is when settings are changed in haste.
# Meanwhile the arbiter replaces no worker that was killed.
_TIMEOUT_S = 60.0


def find_problem(cfg: Any, *, own_addresses: Collection[Any] = ()) -> str | None:
    """Return why a server with this configuration of gunicorn cannot start; None if nothing is known.

    Args:
        cfg: gunicorn's configuration, with its command line.
        own_addresses: where this server listens already.
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
    """Have a reload tried in a process of its own first; with a fault in the settings, the server runs on as it is.

    gunicorn would end the arbiter, or have workers fail that nothing replaces.
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
                f"They could not be tried within {_TIMEOUT_S:.0f} s: reload again when less runs.",
                True,
            )
        except OSError as error:
            fault, has_failed = f"They could not be tried: {error.strerror or type(error).__name__}.", True
        if has_failed:
            server.log.error("The reload is refused; the server runs on with its old settings.\n%s", fault)
            return
        reload()

    server.reload = reload_if_possible


def _find_bind_problem(address: Any, name: str) -> str | None:
    """Return why an address cannot be listened on.

    Args:
        address: as gunicorn has parsed it: a host and a port, the path of a socket, or the number of an open one.
        name: what said so: HOST, BIND or -b.
    """
    if isinstance(address, int):
        return None
    if not isinstance(address, tuple):
        return _find_socket_problem(Path(os.fsdecode(address)))
    host, port = address[:2]
    where = f"{host}:{port}"
    named = f"HOST={host}" if name == "HOST" else f"{name}: {host}"
    better = "set HOST=127.0.0.1, or 0.0.0.0 for all." if name == "HOST" else "say 127.0.0.1, or 0.0.0.0 for all."
    if not 0 <= port < 2**16:
        return f"{where} has no port that there is: it must be from 1 to 65535."
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, target = found[0]
    except (OSError, ValueError):
        return f"{named} is no address or name of this machine: {better}"
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
            probe.listen(1)
        except OSError as error:
            return {
                errno.EADDRINUSE: f"{where} is in use, by another server or a second one of this: stop that, or set another PORT.",
                errno.EACCES: f"{where} needs the rights of root: set a PORT above 1023, with a proxy such as Nginx in front.",
                errno.EADDRNOTAVAIL: f"{named} is no address of this machine: {better}",
            }.get(error.errno or 0, f"{where} cannot be listened on ({error.strerror}): check HOST and PORT.")
    return None


def _find_socket_problem(path: Path) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {folder} for the socket of BIND: create it."
    if path.exists() and not path.is_socket():
        return f"{path} is there already and no socket: name another path in BIND, or move that away."
    if not os.access(folder, os.W_OK | os.X_OK):
        return (
            f"{folder}, the folder for the socket of BIND, cannot be written: chown it to the user of the server."
        )
    return None


def main() -> None:
    """Load the settings and the application as gunicorn would, and exit with a message if that fails."""
    from gunicorn.app.wsgiapp import WSGIApplication

    own = [tuple(each) if isinstance(each, list) else each for each in json.loads(sys.argv[1])]
    sys.argv = ["gunicorn", *sys.argv[2:]]
    app = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]")
    if problem := find_problem(app.cfg, own_addresses=own):
        sys.exit(problem)
    app.load()


if __name__ == "__main__":
    main()
