"""Hosts that are named: asked for what they are, where no announcement crosses the network."""

from __future__ import annotations

import asyncio
from socket import gethostname
from typing import Final

import httpx
import msgspec

from edge_agent.discovery.found import Found

ANSWER_S: Final = 3.0
THIS: Final = "127.0.0.1"
"""This machine, which is always asked: an agent runs best beside what it reads."""
_ASKED: Final = (
    ("moonraker", 7125, "/server/info", "result"),
    ("octoprint", 80, "/api/version", "text"),
    ("octoprint", 5000, "/api/version", "text"),
)
"""Kind, its usual port, the page that tells it, and a word of the answer."""
_LOCKED: Final = (401, 403)


async def ask(hosts: list[str]) -> list[Found]:
    """Ask each host, `HOST` or `HOST:PORT`, for the servers we can read."""
    async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
        asked = [_ask(client, host, *page) for host in hosts for page in _ASKED]
        return [found for found in await asyncio.gather(*asked) if found is not None]


async def _ask(
    client: httpx.AsyncClient, place: str, kind: str, port: int, page: str, word: str
) -> Found | None:
    host, colon, told = place.partition(":")
    url = f"http://{host}:{told if colon else port}"
    try:
        answer = await client.get(f"{url}{page}")
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    locked = answer.status_code in _LOCKED
    if not (_signed(answer, kind) if locked else _tells(answer, word)):
        return None
    key = {
        "moonraker": {"api_key_file": "a file with Moonraker's API key"},
        "octoprint": {"api_key": "an application key, from OctoPrint's settings"},
    }[kind]
    wants = key if kind == "octoprint" or locked else {}
    name = f"{kind}-{gethostname() if host == THIS else host}"
    return Found(kind=kind, name=name, settings={"url": url}, wants=wants)


def _tells(answer: httpx.Response, word: str) -> bool:
    try:
        told = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return False
    return isinstance(told, dict) and word in told


def _signed(answer: httpx.Response, kind: str) -> bool:
    """Whether a refusal is that of the server in question, not of any."""
    words = answer.text.lower()
    return kind in words or (kind == "octoprint" and "permission" in words) or (
        kind == "moonraker" and "unauthorized" in words
    )  # fmt: skip
