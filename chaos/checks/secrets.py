"""Check that no key, prompt or internal error appears in answers or in the log."""

from chaos.checks.check import Check
from chaos.log import Log
from chaos.settings import API_KEY, PROMPT_CANARY, Settings
from chaos.trace import Trace

_SECRETS = {"the key": API_KEY, "a prompt": PROMPT_CANARY, "the upstream's words": "org-chaos"}
_BAD_WORDS = (
    "Traceback",
    "request.bug",
    "Exception",
    "process.uncaught",
    "SIGKILL",
    "WORKER TIMEOUT",
    "listener_failed",
)


def checks(trace: Trace, log: Log, _settings: Settings) -> list[Check]:
    secrets = Check("no key and no prompt gets out")
    for name, secret in _SECRETS.items():
        if secret in log.text:
            secrets.faults.append(f"{name} is in the log {log.text.count(secret)} times")
        for request in trace.client_requests:
            if secret.encode() in request.body or any(secret in value for value in request.headers.values()):
                secrets.faults.append(f"{name} is in the answer to {request}")
    secrets.figure = f"{len(log.text.splitlines()):,} log lines, {len(trace.client_requests):,} answers"
    bugs = Check("the log tells of no bug")
    bugs.faults = [line[:300] for line in log.text.splitlines() if any(word in line for word in _BAD_WORDS)]
    bugs.figure = ", ".join(
        f"{count}× {name}" for name, count in sorted(log.events.items()) if name not in ("call", "request")
    )
    return [secrets, bugs]
