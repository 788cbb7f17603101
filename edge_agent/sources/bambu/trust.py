"""Whom to believe that it is the printer: an authority, or the one certificate of a fingerprint."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

from foremend.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def fingerprint_of(host: str, port: int, timeout_s: float = 10.0) -> tuple[str, str]:
    """Ask a server for its certificate; gives SHA-256 in hexadecimal, and PEM.

    Raises:
        Unavailable: it does not answer, or not by TLS.
    """
    try:
        pem = ssl.get_server_certificate((host, port), timeout=timeout_s)
    except OSError as error:
        raise Unavailable(f"{host}:{port} does not answer by TLS: {error}") from error
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest(), pem


def pinned(host: str, port: int, fingerprint: str, timeout_s: float = 10.0) -> ssl.SSLContext:
    """Trust one certificate alone, whoever signed it; no password is said before it was held.

    Raises:
        Unavailable: the server shows another one, or does not answer.
    """
    shown, pem = fingerprint_of(host, port, timeout_s)
    if shown != fingerprint.replace(":", "").lower():
        raise Unavailable(
            f"the certificate of {host}:{port} is another one: {shown}. If the printer was set up"
            " anew, put this into source.fingerprint; else somebody stands between"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A printer's name in its certificate is its serial number, not its address.
    context.check_hostname = False
    context.load_verify_locations(cadata=pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def of_authority(ca: Path | str | None) -> ssl.SSLContext:
    """Trust what an authority has signed: the system's without a file."""
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    if ca is not None:
        context.check_hostname = False
    return context
