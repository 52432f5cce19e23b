"""`flask doctor --url https://…`: whether browsers accept the site's certificate, and for how long."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.cli.doctor import front, machine
from app.config import Config
from tests.fakes.servers import ROOT


@pytest.fixture
def make_certificate(tmp_path: Path) -> Callable[..., Path]:
    """Make a certificate with its key in one file, valid for so many days from now, or so many ago."""

    def make(days: float, name: str = "localhost") -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        ends_at = datetime.now(UTC) + timedelta(days=days)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends_at - timedelta(days=90))
            .not_valid_after(ends_at)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "certificate.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return file

    return make


@contextmanager
def _serving(file: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        # It must have ended before the descriptor is another socket's, on which it would go on.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("days", "name", "is_trusted", "expected"),
    [
        (60.5, "localhost", True, ("ok", "valid for 60 more days")),
        (20.4, "localhost", True, ("warning", "expires in 20 days")),
        (-1, "localhost", True, ("fault", "certificate has expired")),
        (60, "other.example", True, ("fault", "Hostname mismatch")),
        (60, "localhost", False, ("fault", "self-signed certificate")),
    ],
)
def test_a_certificate(
    make_certificate: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    days: float,
    name: str,
    is_trusted: bool,
    expected: tuple[str, str],
) -> None:
    state, part = expected
    file = make_certificate(days, name)
    make_context: Any = ssl.create_default_context
    if is_trusted:
        monkeypatch.setattr(
            "app.cli.doctor.certificate.ssl.create_default_context", lambda: make_context(cafile=file)
        )
    with _serving(file) as port:
        found = next(
            each
            for each in front.check_url(f"https://localhost:{port}", None, Config())
            if each.check == "certificate"
        )

    assert (found.state, part in found.sentence) == (state, True), found
    assert found.hint or state == "ok"


@pytest.mark.parametrize(
    ("version", "prefix", "state"),
    [
        ((3, 10, 9), "/venv", "fault"),
        ((3, 11, 0), "/usr", "warning"),
        ((3, 11, 0), "/venv", "ok"),
        ((3, 14, 1), "/venv", "ok"),
    ],
)
def test_a_python(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], prefix: str, state: str) -> None:
    monkeypatch.setattr("app.cli.doctor.machine.sys.version_info", version)
    monkeypatch.setattr("app.cli.doctor.machine.sys.prefix", prefix)
    monkeypatch.setattr("app.cli.doctor.machine.sys.base_prefix", "/usr")
    (found,) = machine.check_python(ROOT)

    assert found.state == state
    assert ".".join(map(str, version)) in (found.sentence)
