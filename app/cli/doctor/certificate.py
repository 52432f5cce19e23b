"""Check the certificate of a server: whether it is valid, and for how long."""

from __future__ import annotations

import socket
import ssl
import time

from app.cli.doctor.finding import Finding, fault, ok, warning

_TIMEOUT_S = 10.0


def check_certificate(host: str, port: int, *, renew: str, renew_days: int) -> Finding:
    """Return the problem with a server's certificate, or how long it is valid.

    Args:
        host: of the server.
        port: of the server.
        renew: the hint how to renew the certificate.
        renew_days: the number of days before its expiry when it should have been renewed.
    """
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT_S) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            found = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return fault(
            "certificate", f"The certificate of {host} is not valid: {error.verify_message.rstrip('.')}.", renew
        )
    except OSError as error:
        return fault(
            "certificate",
            f"No TLS connection to {host}:{port} ({_find_reason(error)}).",
            "Check that the server uses TLS, with a certificate; without TLS, the URL begins with http://.",
        )
    days = (ssl.cert_time_to_seconds(str(found["notAfter"])) - time.time()) / 86_400
    if days < renew_days:
        return warning("certificate", f"The certificate of {host} expires in {days:.0f} days.", renew)
    return ok("certificate", f"The certificate of {host} is valid for {days:.0f} more days.")


def _find_reason(error: OSError) -> str:
    """Return the reason why the connection failed, as the system or the TLS library states it."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).replace("_", " ").lower()
    return error.strerror or type(error).__name__
