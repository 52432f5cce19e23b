"""`flask offline-model`: serve the stand-in for OpenAI."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from app.config import Config


@click.command("offline-model")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65_535))
@click.option(
    "--as",
    "plays",
    default=Config.offline_model_as,
    show_default=True,
    help="The OpenAI model that it imitates for unknown names.",
)
def offline_model(host: str, port: int, plays: str) -> None:
    """Serve the offline model, for any program that uses OpenAI's API.

    It is not an AI, and its answers say so.
    """
    # Imported here, because no other command needs them.
    from werkzeug.serving import make_server

    from app.offline_model import create_offline_model

    with TemporaryDirectory(prefix="gatehouse-offline-") as files:
        try:
            app = create_offline_model(directory=Path(files), plays=plays)
            server = make_server(host, port, app, threaded=True)
        except ValueError as error:
            raise click.ClickException(f"{error}.") from None
        except (OSError, SystemExit) as error:
            raise click.ClickException(f"Cannot listen on port {port} of {host}.") from error
        url = f"http://{host}:{server.server_port}/v1"
        click.echo(f"The offline model answers at {url}; Ctrl-C stops it. To use it from Gatehouse:")
        click.echo(f"  OPENAI_BASE_URL={url} make run")
        click.echo(
            f"It refuses what the requested OpenAI model refuses; for a model name that it does not know, what {plays} refuses."
        )
        server.serve_forever()
