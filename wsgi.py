"""Create the application for gunicorn and the `flask` command."""

import sys
from pathlib import Path

from dotenv import load_dotenv

from app import create_app
from app.config import ConfigError, load_config

_ROOT = Path(__file__).parent

try:
    config = load_config(_ROOT)
    load_dotenv(
        _ROOT / ".env", encoding="utf-8-sig"
    )  # libraries read some variables, those of proxies for instance
    app = create_app(config)
except ConfigError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_status)
