"""Getting a device's own credentials against a claim token, and renewing its secret.

The device chooses its secret and keeps it before it asks, so that a request whose answer was lost
can be repeated: the server answers the same device and the same secret alike.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec
from msgspec import Struct

from edge_agent.door.credentials import BrokerAddress, Credentials, Vault, put_private
from foremend.errors import ConfigurationError, ForemendError, Remedy, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S: Final = 15.0
_SECRET_BYTES: Final = 32
_ANSWER_BYTES: Final = 64 * 1024


class EnrolmentRefused(ForemendError):
    """The server gives this device no credentials."""

    remedy = Remedy.REJECT


class Post(Protocol):
    """Sends one JSON document and gives the answer's."""

    def __call__(self, url: str, body: dict[str, Any]) -> bytes:
        """Raise EnrolmentRefused where it is refused, Unavailable where it may be tried again."""


class _Answer(Struct, frozen=True, kw_only=True):
    login: str
    broker: BrokerAddress
    command_keys: tuple[str, ...] = ()


def enrol(
    vault: Vault, *, url: str, token: str, device: str, allow_http: bool = False, post: Post
) -> Credentials:
    """Claim a device's own credentials and keep them.

    Raises:
        EnrolmentRefused: the token is unknown, used, expired or another device's.
        Unavailable: the server does not answer; repeating this is safe.
        ConfigurationError: the address would send the token in clear, or makes no sense.
    """
    base = checked(url, allow_http=allow_http)
    chosen = vault.path.with_name(f"{vault.path.name}.chosen")
    secret = _chosen_secret(chosen)
    body = {"token": token, "device": device, "secret": secret}
    answer = _read(post(f"{base}/api/v1/enrol", body))
    credentials = Credentials(
        url=base,
        login=answer.login,
        secret=secret,
        broker=answer.broker,
        command_keys=answer.command_keys,
    )
    vault.write(credentials)
    chosen.unlink()
    return credentials


def renew(vault: Vault, *, post: Post) -> Credentials:
    """Choose another secret, tell the server, and keep it; a renewal cut short is completed.

    Raises:
        EnrolmentRefused: the device is revoked, or was given another secret meanwhile.
        Unavailable: the server does not answer; repeating this is safe.
        ConfigurationError: the device is not enrolled.
    """
    known = vault.read()
    if known is None:
        raise ConfigurationError(f"{vault.path} is not there: enrol this device first")
    pending = msgspec.structs.replace(known, next_secret=known.next_secret or _new_secret())
    vault.write(pending)
    body = {"login": known.login, "secret": known.secret, "new_secret": pending.next_secret}
    post(f"{known.url}/api/v1/enrol/renew", body)
    renewed = msgspec.structs.replace(
        pending, secret=pending.next_secret or known.secret, next_secret=None
    )
    vault.write(renewed)
    return renewed


def checked(url: str, *, allow_http: bool) -> str:
    """Give the API's address without what follows the host.

    Raises:
        ConfigurationError: no https, and neither loopback nor `allow_http`.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{url!r} is not the address of an API")
    if parts.scheme == "http" and not (allow_http or _is_loopback(parts.hostname)):
        raise ConfigurationError(
            f"{url} would carry the token in clear: use https, or allow_http on a trusted network"
        )
    return f"{parts.scheme}://{parts.netloc}"


def post_json(url: str, body: dict[str, Any]) -> bytes:
    """Send a JSON document by HTTP.

    Raises:
        EnrolmentRefused: the server refuses it, and says why.
        Unavailable: the server does not answer, or asks to be tried later.
    """
    request = Request(  # noqa: S310 - the scheme was checked
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - likewise
            return bytes(response.read(_ANSWER_BYTES))
    except HTTPError as error:
        with error:
            reason = _problem(error.read(_ANSWER_BYTES)) or error.reason
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _LATER:
            raise Unavailable(f"{url}: {reason}") from error
        raise EnrolmentRefused(f"{url}: {reason}") from error
    except (URLError, OSError) as error:
        why = error.reason if isinstance(error, URLError) else error
        raise Unavailable(f"{url} does not answer: {why}; is that the API's address?") from error


_LATER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


def _chosen_secret(file: Path) -> str:
    """Give the secret that an enrolment cut short has chosen, or choose one and keep it."""
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        secret = _new_secret()
        put_private(file, secret.encode())
        return secret


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _read(answer: bytes) -> _Answer:
    try:
        return msgspec.json.decode(answer, type=_Answer)
    except msgspec.DecodeError as error:
        raise EnrolmentRefused(f"the answer is not that of our API: {error}") from error


def _problem(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer, type=dict[str, Any]).get("detail", ""))
    except msgspec.DecodeError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
