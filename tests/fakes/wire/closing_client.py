"""ClosingClient: a test client whose answers are closed at the end of their test, as a server closes each."""

from __future__ import annotations

from typing import Any, ClassVar

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class ClosingClient(FlaskClient):
    """Keeps its answers until `close_answers()`.

    A stream that a test only drops would end when the collector finds it, in the middle of whatever runs then: in a
    transaction, its settlement would wait for that transaction's lock until it gives up.
    """

    _answers: ClassVar[list[TestResponse]] = []

    def open(self, *args: Any, **options: Any) -> TestResponse:
        answer = super().open(*args, **options)
        self._answers.append(answer)
        return answer

    @classmethod
    def close_answers(cls) -> None:
        """Close all answers, those of other clients too."""
        while cls._answers:
            cls._answers.pop().close()
