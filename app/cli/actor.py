"""Say who runs a command, for the audit trail."""

from __future__ import annotations

import os
import pwd

from app.auth.audit.actors import Actor


def command_actor() -> Actor:
    """Return the user of this machine who runs the command."""
    return Actor(f"command:{user_name()}")


def user_name() -> str:
    """Return the name of the user who runs the command, or the number of one without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # of a container that was given a number only
        return str(os.getuid())
