"""`flask nginx-conf`: print the Nginx site of deploy/nginx.conf with values from the settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import click
from flask.cli import with_appcontext

from app.config import Config
from app.services import services

_TEMPLATE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
_NAME = "gatehouse.example.com"
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# Added to the application's longest timeout, so that the application answers before Nginx gives up.
_GRACE_S = 15
# An entry of Nginx's hash tables has 64 bytes, of which Nginx needs some. A larger size would apply to all sites.
_MAX_ENTRY_CHARS = 40
_HEADING = "# The Nginx site of Gatehouse, printed by `flask nginx-conf` from its settings. Print it again after you change them.\n"
# Above these counts Nginx warns that its default tables are too small, and lookups become slower.
_MAX_DEFAULT_NAMES = 150
_MAX_DEFAULT_MAP = 400


class TemplateChanged(Exception):
    """deploy/nginx.conf no longer contains a line to replace. The message is the line."""


@click.command("nginx-conf")
@click.option("--server-name", "names", multiple=True, help="Name of the site; by default those of TRUSTED_HOSTS.")
@click.option("--tls", is_flag=True, help="Serve https, with the certificate of certbot for the first name.")
@with_appcontext
def nginx_conf(names: tuple[str, ...], tls: bool) -> None:
    """Print an Nginx site with the names, sizes, timeouts and origins of the settings.

    The site connects to gunicorn at BIND, or at HOST and PORT.
    """
    config = services().config
    chosen = names or tuple(dict.fromkeys(host.rpartition(":")[0] or host for host in config.trusted_hosts))
    if not chosen:
        raise click.UsageError("Set the name of the site with --server-name, or in TRUSTED_HOSTS.")
    if wrong := [name for name in chosen if not _HOST_NAME.fullmatch(name)]:
        raise click.BadParameter(f"{wrong[0]!r} is not a host name.", param_hint="--server-name")
    if config.trusted_proxies != 1:
        click.echo("Set TRUSTED_PROXIES=1 behind this site, unless the systemd unit sets it.", err=True)
    click.echo(render_site(_TEMPLATE.read_text(encoding="utf-8"), config, chosen, tls=tls), nl=False)


def render_site(template: str, config: Config, names: Iterable[str], *, tls: bool = False) -> str:
    """Return the text of the site.

    Args:
        template: the text of deploy/nginx.conf.
        config: the settings.
        names: the host names of the site. The certificate is that of the first one.
        tls: whether the site serves https.

    Raises:
        TemplateChanged: the template lacks a line to replace.
    """
    names = list(names)
    heading = template[: template.index("\nupstream gatehouse")]
    longest_s = int(max(config.request_timeout_s, config.heartbeat_s)) + _GRACE_S
    listens_at = config.bind or f"{_bracket(config.host)}:{config.port}"
    lines = {
        heading: f"{_HEADING}{''.join(_size_tables(len(names), len(config.allowed_origins)))}",
        "unix:/run/gatehouse/gunicorn.sock": listens_at,
        f"    {_NAME}  1;": "\n".join(f"    {_match(name.lower())}  1;" for name in names),
        f"/live/{_NAME}/": f"/live/{names[0]}/",
        "    # The default of MAX_BODY_BYTES; change both together.": "    # MAX_BODY_BYTES",
        "client_max_body_size 20m;": f"client_max_body_size {max(config.max_body_bytes, config.max_json_bytes)};",
        "(REQUEST_TIMEOUT_S, 60)": "(REQUEST_TIMEOUT_S)",
        "(HEARTBEAT_S, 15)": "(HEARTBEAT_S)",
        "proxy_read_timeout 75s;": f"proxy_read_timeout {longest_s}s;",
        '    # "https://www.example.com"  $http_origin;\n': "".join(
            f'    "{_match(origin)}"  $http_origin;\n' for origin in config.allowed_origins
        ),
        "        # allow 10.0.0.5;\n": "".join(f"        allow {network};\n" for network in config.metrics_allow),
    }
    if config.cors_credentials:
        header = "add_header Access-Control-Allow-Credentials true always;"
        lines[f"# {header}  # with CORS_CREDENTIALS=true"] = header
    for old, new in lines.items():
        if old not in template:
            raise TemplateChanged(old)
        template = template.replace(old, new)
    template = re.sub(
        rf"^(.*)server_name {re.escape(_NAME)};", partial(_list_names, names), template, flags=re.MULTILINE
    )
    if tls:
        template = re.sub(r".*# plain http\n", "", template)
        template = re.sub(r"^( *)#tls ", r"\1", template, flags=re.MULTILINE)
    return template


def _size_tables(names: int, origins: int) -> Iterator[str]:
    """Yield directives for the hash tables whose default size is too small for this many names or origins."""
    sizes = []
    if names > _MAX_DEFAULT_NAMES:
        sizes.append(f"server_names_hash_max_size {_round_up(names)};\n")
    if (entries := max(names, origins)) > _MAX_DEFAULT_MAP:
        sizes.append(f"map_hash_max_size {_round_up(entries)};\n")
    if sizes:
        yield "\n# These apply to all sites of this Nginx. If it reports one as a duplicate, set it in nginx.conf instead, before\n"
        yield "# all maps and includes, to the largest value that a site needs.\n"
        yield from sizes


def _round_up(count: int) -> int:
    """Return a size that is large enough for a table of this many entries of any length."""
    return 1 << (8 * count).bit_length()


def _list_names(names: Iterable[str], line: re.Match[str]) -> str:
    """Return the names on one line each: Nginx rejects lines of 4,096 characters, even in a comment."""
    start = line[1]
    return f"{start}server_name {f'{chr(10)}{start}            '.join(map(_match, names))};"


def _match(text: str) -> str:
    """Return a name or an origin as a key of an Nginx table: as a pattern if the text is too long for an entry."""
    return text if len(text) <= _MAX_ENTRY_CHARS else f"~^{text.replace('.', '[.]')}$"


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
