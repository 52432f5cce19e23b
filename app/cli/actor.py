"""Find the user who runs a command, for the audit trail."""

from __future__ import annotations

import os
import pwd

from app.auth.audit.actors import Actor


def command_actor() -> Actor:
    """Return the actor for the user of this machine who runs the command."""
    return Actor(f"command:{user_name()}")


def user_name() -> str:
    """Return the name of the user who runs the command; the user's number if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container can run as a number without a name
        return str(os.getuid())
