"""The folder in which workers count for /metrics, before any of them starts.

prometheus-client reads its place from the environment when it is first imported, which is in the workers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def prepare_folder(arbiter: Any, folder: Path) -> str | None:
    """Make the folder, empty, and tell the workers of it. Return what is wrong, if it cannot be made.

    After USR2 the workers of the old server still count there.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not arbiter.master_pid:
            for path in folder.iterdir():
                path.unlink()
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}): check STATE_DIR, or unset METRICS_ALLOW."
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return None
