"""The device's half of its twin: takes what is desired, applies what it can, reports both."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct

from edge_agent.downlink import twin_decide
from edge_agent.downlink.journal import Answer
from edge_agent.downlink.twin_decide import Action, Plan, decide_config
from foremend.wire import Details  # noqa: TC001 - a Struct reads its annotations at run time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.sampling.config import SamplingConfig
    from foremend.wire import Address, Config

LOG: Final = logging.getLogger(__name__)
NOTE: Final = "twin"


class Kept(Struct, frozen=True, kw_only=True):
    """The configuration that is in force, so that a start needs nobody to say it again."""

    version: int = -1
    desired: Details = {}


class Adjustable(Protocol):
    """What can be set while it runs."""

    def resample(self, sampling: SamplingConfig) -> None:
        """Sample otherwise from now on."""

    def resend_after(self, seconds: float) -> None:
        """Wait so long for the acknowledgement of what is sent from now on."""


class Twin:
    """Keeps one device's desired configuration in force."""

    def __init__(
        self,
        *,
        address: Address,
        device: Adjustable,
        sampling: SamplingConfig,
        first_resend_s: float,
        channels: frozenset[str],
        log: logging.Logger | None = None,
    ) -> None:
        self._address = address
        self._device = device
        self._sampling = sampling
        self._first_resend_s = first_resend_s
        self._channels = channels
        self._log = log or logging.getLogger()
        self._log_level = logging.getLevelName(self._log.level)
        self._kept = Kept()
        self._plan = Plan(
            log_level=self._log_level, first_resend_s=first_resend_s, sampling=sampling
        )

    async def begin(self, notes: Mapping[str, bytes]) -> None:
        """Put in force what was desired before the start."""
        if NOTE in notes:
            self._kept = msgspec.json.decode(notes[NOTE], type=Kept)
            self._apply()

    def take(self, config: Config) -> tuple[Answer, dict[str, bytes | None]]:
        """Apply a verified configuration; give the answer, and what is to be remembered."""
        decision = decide_config(config, address=self._address, version=self._kept.version)
        name = f"config-{config.version}"
        if decision.action is Action.REFUSE:
            return Answer(id=name, state="refused", reason=decision.reason.value), {}
        if decision.action is Action.ANSWER_AGAIN:
            return self._report(name), {}
        self._kept = Kept(version=config.version, desired=config.desired)
        self._apply()
        LOG.info("configured", extra={"version": config.version})
        return self._report(name), {NOTE: msgspec.json.encode(self._kept)}

    def _apply(self) -> None:
        before = self._plan.sampling
        self._plan = twin_decide.merge(
            self._kept.desired,
            log_level=self._log_level,
            first_resend_s=self._first_resend_s,
            sampling=self._sampling,
            channels=self._channels,
        )
        self._log.setLevel(self._plan.log_level)
        self._device.resend_after(self._plan.first_resend_s)
        if self._plan.sampling != before:
            self._device.resample(self._plan.sampling)

    def _report(self, name: str) -> Answer:
        return Answer(id=name, state="finished", details=dict(self._plan.reported))
