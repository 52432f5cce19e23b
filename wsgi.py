"""What gunicorn and the `flask` command load."""

import sys

from dotenv import load_dotenv

from app import create_app
from app.config import ConfigError

# The status with which a gunicorn worker says that starting another one would be of no use.
_DO_NOT_RESPAWN = 4

load_dotenv()
try:
    app = create_app()
except ConfigError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(_DO_NOT_RESPAWN)
