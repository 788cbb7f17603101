"""What `[sampling]` of an agent's configuration may say; without it, everything is sent."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from foremend import wire  # noqa: TC001 - msgspec reads the annotations at run time

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Statistic = Literal["min", "max", "mean", "std"]


class ChannelSampling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a channel asks for a frame to be sent; a frame that is sent carries every channel."""

    report: Literal["every", "change", "period", "never"] = "every"
    """`never` is sent in bursts alone, for channels whose windows say enough."""
    deadband: NotNegative = 0.0
    """A change from what was sent last counts beyond this, in the channel's unit."""
    deadband_ratio: NotNegative = 0.0
    """And beyond this share of what was sent last; the larger of the two holds."""
    heartbeat_s: Positive = 60.0
    """With `change`: a frame is due after this, changed or not."""
    period_s: Positive = 60.0
    """With `period`: a frame is due after this."""
    stale_after_s: Positive | None = None
    """The last value stands in for one that was not read for so long, then the channel is stale
    and None; without it, what was not read is None."""
    statistics: tuple[Statistic, ...] = ()
    """A channel `NAME_STATISTIC` each, over windows of `window_s`."""
    burst_low: float | None = None
    burst_high: float | None = None
    """A value beyond either begins a burst, ..."""
    burst_sigma: Positive | None = None
    """... as does one so many standard deviations from the channel's own recent mean."""


class SamplingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a device's readings are sampled."""

    window_s: Positive = 60.0
    """Windows begin at whole multiples of this since the epoch."""
    before_s: NotNegative = 0.0
    """A burst begins with what was read and not sent so long before it, ..."""
    after_s: Positive = 30.0
    """... and ends so long after its cause was last seen."""
    most_before: Annotated[int, Meta(ge=1, le=100_000)] = 4096
    """Frames that are kept back for a burst."""
    default: ChannelSampling = ChannelSampling()
    """For channels without a table of their own; a table stands for itself alone."""
    channels: dict[wire.Id, ChannelSampling] = {}
