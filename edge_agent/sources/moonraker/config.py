"""How to reach a Moonraker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Meta

from edge_agent.complaints import ADDRESS
from edge_agent.live.source import LiveConfig, Seconds
from foremend.errors import ConfigurationError, Unavailable


class MoonrakerConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[source]` of kind `moonraker`."""

    mapping: str = "klipper"
    url: Annotated[str, Meta(pattern=ADDRESS)] = "http://127.0.0.1:7125"
    """Of Moonraker, as its web pages use it; with its path where a proxy adds one."""
    api_key_file: str | None = None
    """Holds the API key, where this host is none of Moonraker's trusted clients."""
    one_shot: bool = False
    """Whether the key is traded for a token that is good for one connection, so that it does not
    travel over the WebSocket; for proxies that let none in without."""
    answer_s: Seconds = 10.0
    """For an answer; later ones count as none."""
    probe_s: Seconds = 5.0
    """Without news of Klipper's for so long, it is asked."""

    def api_key(self) -> str | None:
        """Read the key.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        if self.api_key_file is None:
            return None
        try:
            return Path(self.api_key_file).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigurationError(
                f"source.api_key_file: {self.api_key_file} cannot be read: {error.strerror}"
            ) from error


def websocket_url(url: str, token: str | None = None) -> str:
    """Give the address of the WebSocket.

    >>> websocket_url("http://printer.example:7125", token="T")
    'ws://printer.example:7125/websocket?token=T'
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}[parts.scheme]
    query = urlencode({"token": token}) if token else ""
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/websocket", query, ""))


TOKEN_PATH: Final = "/access/oneshot_token"  # noqa: S105 - a path, not a secret


async def one_shot_token(url: str, api_key: str | None, *, within_s: float) -> str:
    """Ask for a token that opens one connection.

    Raises:
        Unavailable: it is refused, or nobody answers.
    """
    import httpx  # noqa: PLC0415 - weighs megabytes, and few need it

    headers = {"X-Api-Key": api_key} if api_key else {}
    try:
        async with httpx.AsyncClient(timeout=within_s, trust_env=False) as client:
            answer = await client.get(url.rstrip("/") + TOKEN_PATH, headers=headers)
            answer.raise_for_status()
            token = answer.json()["result"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"no one-shot token: {error}") from error
    return str(token)
