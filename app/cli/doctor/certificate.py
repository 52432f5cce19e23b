"""The certificate of a server: whether it is accepted, and for how long."""

from __future__ import annotations

import socket
import ssl
import time

from app.cli.doctor.finding import Finding, fault, ok, warning

_TIMEOUT_S = 10.0


def check_certificate(host: str, port: int, *, renew: str, renew_days: int) -> Finding:
    """Return what is wrong with a server's certificate, or until when it is valid.

    Args:
        host: of the server.
        port: of the server.
        renew: what its operator does about one that has expired, or soon will.
        renew_days: how many days before its end it should have been renewed.
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
            "Check that TLS is on there, with a certificate; without it the URL begins with http://.",
        )
    days = (ssl.cert_time_to_seconds(str(found["notAfter"])) - time.time()) / 86_400
    if days < renew_days:
        return warning("certificate", f"The certificate of {host} expires in {days:.0f} days.", renew)
    return ok("certificate", f"The certificate of {host} is valid for {days:.0f} more days.")


def _find_reason(error: OSError) -> str:
    """Return why there is no connection, in the words of the system or of TLS."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).replace("_", " ").lower()
    return error.strerror or type(error).__name__
