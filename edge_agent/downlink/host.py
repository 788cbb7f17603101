"""The device as its downlink sees it, and the downlink of one agent put together."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from edge_agent.downlink.keys import Keyring
from edge_agent.downlink.kinds import BuiltIn, Commandable
from edge_agent.downlink.orders import Downlink
from edge_agent.downlink.twin import Twin
from edge_agent.sampling.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.config import AgentConfig
    from edge_agent.intake import Intake
    from edge_agent.outbox.group import DeviceOutbox
    from edge_agent.publisher import Publisher
    from edge_agent.sampling.config import SamplingConfig
    from edge_agent.source import Source
    from edge_agent.timekeeper import Timekeeper
    from foremend.clock import Millis, NowMs
    from foremend.wire import Address


class Host:
    """How one agent's device stands, and what of it can be set while it runs."""

    def __init__(
        self,
        address: Address,
        source: Source,
        intake: Intake,
        publisher: Publisher,
        time: Timekeeper,
        clock: NowMs,
    ) -> None:
        self._address = address
        self._source = source
        self._intake = intake
        self._publisher = publisher
        self._time = time
        self._clock = clock

    @property
    def address(self) -> Address:
        """Who it is."""
        return self._address

    @property
    def phase(self) -> int:
        """What it is doing, by its last frame."""
        return self._intake.phase

    @property
    def now_ms(self) -> Millis | None:
        """The present on its timeline; None while the clock cannot be trusted."""
        return None if self._time.held else self._clock()

    def resample(self, sampling: SamplingConfig) -> None:
        """Sample otherwise from now on."""
        self._intake.resample(Sampler(sampling, self._source.describe()))

    def resend_after(self, seconds: float) -> None:
        """Wait so long for the acknowledgement of what is sent from now on."""
        self._publisher.resend_after(seconds)


def downlink_of(
    config: AgentConfig,
    host: Host,
    *,
    source: Source,
    sampling: SamplingConfig,
    outbox: DeviceOutbox,
    publisher: Publisher,
    burst: Callable[[str | None, float], None],
    live: bool,
) -> Downlink:
    """Put one agent's downlink together; a source that can be commanded comes first."""
    able: list[Commandable] = [BuiltIn(burst=burst, report=publisher.dated)]
    if isinstance(source, Commandable):
        able.insert(0, source)
    twin = Twin(
        address=config.address,
        device=host,
        sampling=sampling,
        first_resend_s=config.first_resend_s,
        channels=frozenset(channel.name for channel in source.describe().channels),
    )
    return Downlink(
        device=host,
        outbox=outbox,
        keyring=Keyring(config.command_keys),
        able=able,
        twin=twin,
        kept=publisher.wake,
        steady=monotonic,
        live=live,
        packed=config.packed,
    )
