"""What becomes of a desired configuration; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge_agent.policy import LONGEST_RESEND_S
from edge_agent.sampling.config import ChannelSampling, SamplingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.wire import Address, Config, Scalar

APPLIED: Final = "applied"
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_SAMPLING_PARTS: Final = 3


class Action(Enum):
    """What becomes of a configuration."""

    APPLY = "apply"
    ANSWER_AGAIN = "answer_again"
    REFUSE = "refuse"


class Reason(Enum):
    """Why."""

    NEWER = "newer"
    SAME = "same"
    PASSED = "passed"
    OTHER_DEVICE = "other_device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome and its reason."""

    action: Action
    reason: Reason


def decide_config(config: Config, *, address: Address, version: int) -> Decision:
    """Apply what is for this device and newer than what it has."""
    if (config.tenant, config.device) != (address.tenant, address.device):
        return Decision(action=Action.REFUSE, reason=Reason.OTHER_DEVICE)
    if config.version < version:
        return Decision(action=Action.REFUSE, reason=Reason.PASSED)
    if config.version == version:
        return Decision(action=Action.ANSWER_AGAIN, reason=Reason.SAME)
    return Decision(action=Action.APPLY, reason=Reason.NEWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What can be set of what is desired; all else is as the agent's own file says."""

    log_level: str
    first_resend_s: float
    sampling: SamplingConfig
    reported: Mapping[str, str] = field(default_factory=dict)
    """Setting -> `applied`, or why not."""


def merge(
    desired: Mapping[str, Scalar],
    *,
    log_level: str,
    first_resend_s: float,
    sampling: SamplingConfig,
    channels: frozenset[str],
) -> Plan:
    """Lay what is desired over the agent's own file, setting by setting.

    `log_level`, `first_resend_s`, `sampling.window_s` and its like, `sampling.CHANNEL.deadband`
    and its like; the channel `default` stands for those without a table of their own.
    """
    reported: dict[str, str] = {}
    for name, value in sorted(desired.items()):
        parts = name.split(".")
        if name == "log_level":
            reported[name] = APPLIED if value in LEVELS else "invalid"
            log_level = str(value) if value in LEVELS else log_level
        elif name == "first_resend_s":
            good = _is_resend(value)
            reported[name] = APPLIED if good else "invalid"
            first_resend_s = float(str(value)) if good else first_resend_s
        elif parts[0] == "sampling" and len(parts) in {2, _SAMPLING_PARTS}:
            sampling, reported[name] = _resampled(sampling, parts[1:], value, channels)
        else:
            reported[name] = "unknown"
    return Plan(
        log_level=log_level,
        first_resend_s=first_resend_s,
        sampling=sampling,
        reported=reported,
    )


def _is_resend(value: Scalar) -> bool:
    """Tell whether it is a time to wait before a resend: no less than a second, finite."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 1 <= float(str(value)) <= LONGEST_RESEND_S


def _resampled(
    sampling: SamplingConfig, path: list[str], value: Scalar, channels: frozenset[str]
) -> tuple[SamplingConfig, str]:
    if len(path) > 1 and path[0] != "default" and path[0] not in channels:
        return sampling, "no_such_channel"
    known = ChannelSampling if len(path) > 1 else SamplingConfig
    if path[-1] not in known.__struct_fields__ or path[-1] in {"statistics", "default", "channels"}:
        # Statistics are channels of their own, which only a new birth can name.
        return sampling, "unknown"
    try:
        return msgspec.convert(_placed(sampling, path, value), SamplingConfig), APPLIED
    except msgspec.ValidationError:
        return sampling, "invalid"


def _placed(sampling: SamplingConfig, path: list[str], value: Scalar) -> dict[str, Any]:
    whole: dict[str, Any] = msgspec.to_builtins(sampling)
    if len(path) == 1:
        return whole | {path[0]: value}
    if path[0] == "default":
        return whole | {"default": whole["default"] | {path[1]: value}}
    own = whole["channels"].get(path[0], whole["default"])
    return whole | {"channels": whole["channels"] | {path[0]: own | {path[1]: value}}}
