"""Prepare the folder in which workers count for /metrics, before any of them starts.

prometheus-client reads the folder's path from the environment when it is first imported, in the workers.
"""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare_folder(folder: Path) -> str | None:
    """Create or empty the folder, and pass its path to the workers. Return the problem if that fails.

    It does nothing after a reload, and in the server that takes over after USR2: workers already count there.
    """
    if os.environ.get(_VARIABLE) == str(folder):
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}): check STATE_DIR, or unset METRICS_ALLOW."
    os.environ[_VARIABLE] = str(folder)
    return None
