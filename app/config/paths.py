"""Check the files and folders that settings name: what is read must be there, what is written must be writable."""

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
# A full disk may have room again, and the server runs without what it cannot write.
_PASSING = (errno.ENOSPC, errno.EDQUOT)


def find_unreadable(config: Config, root: Path) -> Iterator[str]:
    """Yield a sentence for each file or folder that the owner named and that cannot be read.

    The folders of the defaults may be missing: a site without prompts of its own has no such folder.
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
    """Yield a sentence for each folder that the server would write to and cannot."""
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
        return f"{str(path)!r} is no folder; correct the path."
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
        tempfile.TemporaryFile(dir=existing).close()  # a mode says nothing of root, or of a disk that is read-only
    except NotADirectoryError:
        return f"{str(path)!r} cannot be a folder, as {str(existing)!r} is a file; correct the path."
    except OSError as error:
        if error.errno in _PASSING:
            return None
        return f"{str(path)!r} cannot be written: {error.strerror}; chown it to the user of the server, or name another."
    return None
