"""Return the current date and time, which a model does not know."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from app.tools import ToolError, tool

TimeZone = Annotated[str, Field(pattern=r"^(UTC|[A-Za-z_]+/[A-Za-z0-9_/+-]+)$")]


@tool
def current_time(time_zone: TimeZone) -> dict[str, str]:
    """Return the current date, weekday and time in a time zone.

    Args:
        time_zone: the IANA name, such as Europe/Oslo. Use UTC if no place is meant.
    """
    try:
        now = datetime.now(ZoneInfo(time_zone))
    except (KeyError, ValueError, OSError):
        raise ToolError("There is no such time zone. Use an IANA name such as Europe/Oslo.") from None
    return {
        "date": now.date().isoformat(),
        "weekday": now.strftime("%A"),
        "time": now.strftime("%H:%M"),
        "utc_offset": now.strftime("%z"),
    }
