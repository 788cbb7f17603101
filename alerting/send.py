"""The ways out of the house: a signed HTTP request, or a message to people by Apprise."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from alerting.delivery import Answer
from alerting.envelope import body, headers, sentence
from alerting.guard import DestinationRefused, allowed, resolve
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from alerting.delivery import Parcel, Sender
    from alerting.guard import Address

TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
EXCERPT: Final = 200
"""Bytes of a refusal that are kept."""
_LOCAL_SCHEMES: Final = frozenset(
    {"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSender:
    """POSTs CloudEvents, signed, to the very address that was checked; follows no redirect."""

    client: httpx.Client
    clock: Callable[[], datetime]
    allow_private: bool = False
    resolver: Callable[[str, int], list[Address]] = resolve

    def send(self, parcel: Parcel) -> Answer:
        """Try once; an unreachable server is an answer too."""
        try:
            request = self._request(parcel)
            with closing(self.client.send(request, stream=True, follow_redirects=False)) as answer:
                return Answer(status=answer.status_code, error=_excerpt(answer))
        except DestinationRefused as error:
            return Answer(error=str(error), final=True)
        except (Unavailable, httpx.HTTPError) as error:
            return Answer(error=f"{type(error).__name__}: {error}")

    def _request(self, parcel: Parcel) -> httpx.Request:
        url = _checked(parcel.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        address = allowed(
            self.resolver(url.host, port), host=url.host, allow_private=self.allow_private
        )
        text = body(parcel)
        # Connecting to the checked address, and not to the name once more, leaves a name server
        # no second answer to give; the certificate is still held against the name.
        return self.client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=text.encode(),
            headers=headers(parcel, text, self.clock()) | {"host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )


def _checked(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise DestinationRefused(f"not a URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise DestinationRefused(f"{url.scheme or 'no scheme'}: webhooks go by http or https")
    return url


def _excerpt(answer: httpx.Response) -> str:
    """Give the beginning of a refusal, from one piece: a dripping server is not waited for."""
    if answer.is_success:
        return ""
    start = next(answer.iter_raw(EXCERPT), b"")[:EXCERPT].decode("utf-8", "replace")
    return f"status {answer.status_code}: {start}".rstrip(": ").replace("\x00", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseSender:
    """Tells people through whichever service the destination's Apprise URL names."""

    allow_private: bool = False
    resolver: Callable[[str, int], list[Address]] = resolve

    def send(self, parcel: Parcel) -> Answer:
        """Try once. Apprise says yes or no; its own log says why."""
        # Loading Apprise takes longer than everything else here together; few need it.
        import apprise  # noqa: PLC0415

        try:
            self._check(parcel.url)
        except DestinationRefused as error:
            return Answer(error=str(error), final=True)
        service = apprise.Apprise()
        if not service.add(parcel.url):
            return Answer(error="Apprise does not understand this URL", final=True)
        title, text = sentence(parcel)
        if service.notify(title=title, body=text):
            return Answer(status=HTTPStatus.OK)
        return Answer(error="the service did not take the message")

    def _check(self, url: str) -> None:
        """Hold addresses against the guard; a token where others have a host has none."""
        parts = urlsplit(url)
        if self.allow_private:
            return
        if parts.scheme.lower() in _LOCAL_SCHEMES:
            raise DestinationRefused(f"{parts.scheme}: speaks to this machine")
        try:
            found = self.resolver(parts.hostname or "", parts.port or 443)
        except Unavailable:
            return
        allowed(found, host=parts.hostname or "", allow_private=False)


@dataclass(frozen=True, slots=True)
class SenderByKind:
    """Chooses the way by the destination's kind."""

    ways: Mapping[str, Sender]

    def send(self, parcel: Parcel) -> Answer:
        """Try once, by the way that the destination's kind names."""
        return self.ways[parcel.kind].send(parcel)
