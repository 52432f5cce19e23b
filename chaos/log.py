"""Parse the application's log: its `call` lines, and lines that should not be in it."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

_LINE = re.compile(r"^\S+Z (?P<level>[A-Z]+) (?P<event>\S+)(?P<fields>.*)$")
_FIELD = re.compile(r' ([a-z_]+)=("[^"]*"|\S*)')


@dataclass
class Log:
    """The relevant lines of a log.

    Attributes:
        calls: the fields of each `call` line, by request id.
        other: lines above the level INFO, or not in the application's format.
    """

    text: str
    calls: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    events: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    other: list[str] = field(default_factory=list)


def read(text: str) -> Log:
    """Sort the lines of a log."""
    log = Log(text)
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            log.other.append(line)
            continue
        log.events[found["event"]] += 1
        fields = {name: value.strip('"') for name, value in _FIELD.findall(found["fields"])}
        if found["event"] == "call":
            log.calls[fields.get("request_id", "")].append(fields)
        elif found["level"] not in ("INFO", "DEBUG"):
            log.other.append(line)
    return log
