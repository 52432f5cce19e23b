"""Name what is wrong with this machine rather than with a request: a full disk, too many open files, no memory."""

from __future__ import annotations

import errno

_NO_SPACE = "the disk, or the quota of the server's user, is full: free some space, of TMPDIR as well"
_READ_ONLY = (
    "the file system is mounted read-only: mount it for writing, and look into the kernel's log for the reason"
)
_FILES = "no file can be opened any more: raise the limit of open files (LimitNOFILE in the unit, or ulimit -n)"
_MEMORY = (
    "the system gives no more memory: lower WEB_CONCURRENCY, or raise the memory limit (MemoryMax in the unit)"
)
_PROCESSES = "no process or thread can be started: raise the limit of tasks (TasksMax in the unit, or ulimit -u)"
_RIGHTS = "the server's user may not do this: check the owner and the rights of its folders, of TMPDIR as well"
_MISSING = "a file or folder is missing: check that TMPDIR and the folders of the settings are there"
_BROKEN = "the disk fails: look into the kernel's log, and restore from a backup what it has lost"

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
    """Return what the operator can do about an exception, or about one that caused it; None if that is not known."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return _MEMORY
        if isinstance(seen, OSError) and seen.errno in _HINTS:
            return _HINTS[seen.errno]
        seen = seen.__cause__ or seen.__context__
    return None
