"""Check the files and folders that settings name: inputs must be readable, and output folders writable."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from app.config.setting_fields import SettingFields

if TYPE_CHECKING:
    from app.config.settings import Config

_DEFAULTS = {declared.name: declared.default for declared in fields(SettingFields)}
_READ_FOLDERS = ("prompts_dir", "schemas_dir", "tools_dir")
_READ_FILES = ("prices_file",)
_WRITTEN_FOLDERS = ("state_dir", "data_dir")
# A full disk is temporary, and the server runs without writing these files.
_PASSING = (errno.ENOSPC, errno.EDQUOT)


def find_unreadable(config: Config, root: Path) -> Iterator[str]:
    """Yield a sentence for each configured file or folder that cannot be read.

    A folder with its default name may be missing: a site without prompts needs no folder for them.
    """
    for name in _READ_FOLDERS:
        value = getattr(config, name)
        path = root / value
        if value == _DEFAULTS[name] and not os.path.lexists(path):
            continue
        if problem := _find_folder_problem(path):
            yield f"{name.upper()}: {problem}"
    for name in _READ_FILES:
        if (value := getattr(config, name)) and (problem := _find_file_problem(root / value)):
            yield f"{name.upper()}: {problem}"


def find_unwritable(config: Config, root: Path) -> Iterator[str]:
    """Yield a sentence for each folder that the server needs to write to and cannot."""
    for name in _WRITTEN_FOLDERS:
        if name == "state_dir" and config.redis_url:
            continue
        if problem := _find_write_problem(root / getattr(config, name)):
            yield f"{name.upper()}: {problem}"


def _find_folder_problem(path: Path) -> str | None:
    try:
        os.scandir(path).close()
    except FileNotFoundError:
        return f"there is no folder {str(path)!r}; create it, or correct the path."
    except NotADirectoryError:
        return f"{str(path)!r} is not a folder; correct the path."
    except OSError as error:
        return f"{str(path)!r} cannot be read: {error.strerror}; check its owner and mode."
    return None


def _find_file_problem(path: Path) -> str | None:
    try:
        path.open("rb").close()
    except PermissionError as error:
        return f"{str(path)!r} cannot be read: {error.strerror}; check its owner and mode."
    except OSError as error:
        return f"{str(path)!r} cannot be read: {error.strerror}; correct the path."
    return None


def _find_write_problem(path: Path) -> str | None:
    try:
        existing = next(each for each in (path, *path.parents) if each.exists())
        tempfile.TemporaryFile(dir=existing).close()  # a mode does not show root, or a read-only disk
    except NotADirectoryError:
        return f"{str(path)!r} cannot be a folder, as {str(existing)!r} is a file; correct the path."
    except OSError as error:
        if error.errno in _PASSING:
            return None
        return f"{str(path)!r} cannot be written: {error.strerror}; chown it to the server's user, or choose another folder."
    return None
