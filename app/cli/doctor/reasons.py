"""Find a known reason why a server cannot be reached in an error or its causes."""

from __future__ import annotations

import re

# Only these texts are shown: others could contain a password.
_REASONS = re.compile(
    r"Connection refused|Connection reset by peer|Connection closed by server|Connection timed out|timeout expired"
    r"|No route to host|Network is unreachable|No address associated with hostname|Name or service not known"
    r"|Temporary failure in name resolution|No such file or directory|Permission denied"
    r"|password authentication failed|no password supplied|no pg_hba.conf entry|pg_hba.conf rejects connection"
    r"|Peer authentication failed|too many clients|remaining connection slots are reserved"
    r"|(?:database|role) \"[^\"]*\" does not exist|server does not support SSL, but SSL was required"
    r"|received invalid response to SSL negotiation|root certificate file \"[^\"]*\" does not exist"
    r"|server certificate for \"[^\"]*\" (?:\(and \d+ other names?\) )?does not match host name"
    r"|invalid [a-z_]+ value|WRONGPASS|NOAUTH|NOPERM|max number of clients reached"
    r"|certificate verify failed(?:: [a-z' -]+)?|Hostname mismatch|WRONG_VERSION_NUMBER|[Tt]imeout"
)


def find_reason(error: BaseException) -> str:
    """Return the known reason in the error or its causes; the name of the error if there is none."""
    name = str(error) if type(error).__name__ in ("DatabaseUnavailable", "Contended") else type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if found := _REASONS.search(str(cause)):
            return found[0]
        cause = cause.__cause__ or cause.__context__
    return name
