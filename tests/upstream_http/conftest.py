from __future__ import annotations

import ssl
import subprocess

import pytest


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Makes a certificate for a host that has signed itself, in one file with its key."""

    def make(name):
        file = tmp_path_factory.mktemp("tls") / "both.pem"
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command = [
            "openssl",
            "req",
            "-x509",
            "-nodes",
            *curve,
            "-days",
            "2",
            *subject,
            "-keyout",
            file,
            "-out",
            "-",
        ]
        made = subprocess.run(command, check=True, capture_output=True)
        file.write_bytes(file.read_bytes() + made.stdout)
        return file

    return make


@pytest.fixture
def tls(certificate, monkeypatch):
    """The TLS context of a server whose certificate is for a host, and trusted."""

    def make(name, *, is_trusted=True):
        file = certificate(name)
        if is_trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    return make
