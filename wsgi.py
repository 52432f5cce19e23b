"""Create the application for gunicorn and the `flask` command."""

import sys

from dotenv import load_dotenv

from app import create_app
from app.config import ConfigError

load_dotenv()
try:
    app = create_app()
except ConfigError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_status)
