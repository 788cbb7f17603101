"""The crew's way to the orders: the API, as any person or program would use it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from foremend.clock import to_ms
from foremend.errors import Unavailable
from stack.fleet.crew import Standing

if TYPE_CHECKING:
    from foremend.clock import Millis

OPEN: Final = ("offered", "accepted", "parts_pending", "in_progress")
_TOO_LATE: Final = frozenset({404, 409, 412})
"""Somebody else moved the order, or it is over: look again."""
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class OrderDesk:
    """Reads and moves work orders of one timeline over HTTP."""

    client: httpx.AsyncClient
    timeline: str

    async def open_orders(self) -> list[Standing]:
        """Give the orders that wait for somebody to do something.

        Raises:
            Unavailable: the API does not answer.
        """
        params = {"state": OPEN, "limit": 100, "timeline": self.timeline}
        told = await self._ask("GET", "/api/v1/work-orders", params=params)
        return [_standing(row) for row in (told or {}).get("items", ())]

    async def scored_ms(self) -> Millis | None:
        """Say up to when the timeline is scored; None before the first hour is.

        Raises:
            Unavailable: the API does not answer.
        """
        told = await self._ask("GET", "/api/v1/summary", params={"timeline": self.timeline})
        at = (told or {}).get("scored_at")
        return None if at is None else to_ms(datetime.fromisoformat(at))

    async def move(self, order: Standing, action: str, **params: object) -> bool:
        """Move an order; False where somebody was faster. The same move twice is made once.

        Raises:
            Unavailable: the API does not answer.
        """
        headers = {
            "If-Match": f'"{order.version}"',
            "Idempotency-Key": f"crew-{order.number}-{order.version}-{action}",
        }
        path = f"/api/v1/work-orders/{order.number}/moves"
        body = {"action": action} | params
        return await self._ask("POST", path, json=body, headers=headers) is not None

    async def report(self, device: str, component: str, failure_mode: str, key: str) -> bool:
        """Report a failure that nobody foresaw.

        Raises:
            Unavailable: the API does not answer.
        """
        body = {"device": device, "component": component, "failure_mode": failure_mode}
        told = await self._ask(
            "POST",
            "/api/v1/work-orders",
            params={"timeline": self.timeline},
            json=body | {"note": "the device stands still"},
            headers={"Idempotency-Key": key},
        )
        return told is not None

    async def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any] | None:  # noqa: ANN401 - httpx's options
        try:
            response = await self.client.request(method, path, **how)
        except httpx.TransportError as error:
            raise Unavailable(f"the API does not answer: {error}") from error
        if response.status_code in _TOO_LATE:
            return None
        if response.status_code >= _SERVER_ERROR:
            raise Unavailable(f"the API answered {response.status_code}")
        response.raise_for_status()
        told: dict[str, Any] = response.json()
        return told


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        number=row["number"],
        version=row["version"],
        device=row["device"],
        component=row["component"],
        state=row["state"],
        state_ms=to_ms(datetime.fromisoformat(row["state_at"])),
        strategy=row["strategy"],
        kit=row["kit"],
        reopened=row["reopened"],
    )
