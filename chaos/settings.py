"""The parameters of a run, and the application's settings for it."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CHAT, FALLBACK, EMBEDDING = "chaos-first", "chaos-second", "chaos-vectors"
API_KEY = "sk-chaos-canary-key-81c5"
PROMPT_CANARY = "canary-prompt-37f2"
FOREIGN_ORIGIN = "http://evil.example"

FIRST_TOKEN_TIMEOUT_S = 3.0
IDLE_TIMEOUT_S = 2.0
TICK_S = 1.0
"""How often the application checks whether the client is still connected."""
RETRY_MAX_ATTEMPTS = 3
BREAKER_FAILURES = 5
MAX_BODY_BYTES = 200_000
WORKERS = 2
THREADS = 64


@dataclass(frozen=True)
class Settings:
    """The parameters from the command line."""

    seconds: float = 120.0
    at_once: int = 40
    seed: int = 1
    policy: str = "cancel"
    worker_class: str = "gevent"
    reload: bool = True

    @property
    def request_timeout_s(self) -> float:
        """REQUEST_TIMEOUT_S. It is shorter for a short run, which would otherwise mostly wait for its last answers."""
        return 8.0 if self.seconds >= 20 else 3.0

    @property
    def most_streams(self) -> int:
        """MAX_CONCURRENT_STREAMS, low enough to be reached now and then."""
        return max(2, self.at_once * 6 // 10)


def environment(settings: Settings, port: int, upstream_port: int, state: Path) -> dict[str, str]:
    """The settings of the application, all others being at their defaults, whatever a developer's .env says."""
    names = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    return dict.fromkeys(names, "") | {
        "OPENAI_API_KEY": API_KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "CHAT_MODEL": CHAT,
        "CHAT_FALLBACK_MODELS": FALLBACK,
        "VISION_MODEL": CHAT,
        "EMBEDDING_MODEL": EMBEDDING,
        "REQUEST_TIMEOUT_S": f"{settings.request_timeout_s:g}",
        "CONNECT_TIMEOUT_S": "1",
        "FIRST_TOKEN_TIMEOUT_S": f"{FIRST_TOKEN_TIMEOUT_S:g}",
        "IDLE_TIMEOUT_S": f"{IDLE_TIMEOUT_S:g}",
        "HEARTBEAT_S": "1",
        "RETRY_MAX_ATTEMPTS": str(RETRY_MAX_ATTEMPTS),
        "BREAKER_FAILURES": str(BREAKER_FAILURES),
        "BREAKER_COOLDOWN_S": "1",
        "MAX_CONCURRENT_STREAMS": str(settings.most_streams),
        "MAX_STREAM_SHARE": "1",  # all the load is one visitor's
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "RATE_LIMIT": "1000000/minute",
        "DISCONNECT_POLICY": settings.policy,
        "STATE_DIR": str(state),
        "DATABASE_URL": f"sqlite:///{state}/gatehouse.sqlite3",
        "APP_ENV": "development",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        "WORKER_CLASS": settings.worker_class,
        "THREADS": str(THREADS),
        "LOG_LEVEL": "INFO",
    }
