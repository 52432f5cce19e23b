"""Recognize faults of this machine, and say what to do: a full disk, too many open files, no memory."""

from __future__ import annotations

import errno

_NO_SPACE = "the disk, or the quota of the server's user, is full: free some space, also in TMPDIR"
_READ_ONLY = (
    "the file system is mounted read-only: mount it for writing, and check the kernel's log for the reason"
)
_FILES = "too many files are open: raise the limit of open files (LimitNOFILE in the unit, or ulimit -n)"
_MEMORY = "the system is out of memory: lower WEB_CONCURRENCY, or raise the memory limit (MemoryMax in the unit)"
_PROCESSES = "no process or thread can be started: raise the limit of tasks (TasksMax in the unit, or ulimit -u)"
_RIGHTS = "the server's user has no permission: check the owner and mode of its folders, and of TMPDIR"
_MISSING = "a file or folder is missing: check that TMPDIR and the folders in the settings exist"
_BROKEN = "the disk has errors: check the kernel's log, and restore lost files from a backup"

_HINTS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: _NO_SPACE,
    errno.EROFS: _READ_ONLY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _PROCESSES,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOENT: _MISSING,
    errno.ENOTDIR: _MISSING,
    errno.EIO: _BROKEN,
}


def explain_local_fault(error: BaseException) -> str | None:
    """Return advice for the operator about an exception, or about one that caused it; None if there is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return _MEMORY
        if isinstance(seen, OSError) and seen.errno in _HINTS:
            return _HINTS[seen.errno]
        seen = seen.__cause__ or seen.__context__
    return None
