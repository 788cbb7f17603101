"""Whether a challenger takes over from the model in force: a decision on figures; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a model's would-be orders were worth over some time."""

    device_weeks: float
    """Looked at."""
    findings: int
    """Failures that technicians found on what was looked at."""
    orders: int
    """Whose outcome is known."""
    true_orders: int
    foreseen: int
    """Findings that an order had stood before."""
    median_lead_h: float | None
    """From the order to the finding; None where none was foreseen."""
    undecided: int = 0
    """Orders that may still prove right."""

    @property
    def burden(self) -> float:
        """False orders per 100 device-weeks: how often somebody is sent for nothing."""
        false = self.orders - self.true_orders
        return 100.0 * false / self.device_weeks if self.device_weeks else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a challenger must show; each limit is named in the reason that it gives."""

    min_findings: int = 10
    """Fewer say nothing of either model."""
    burden_ratio: float = 1.1
    burden_margin: float = 0.5
    """False orders per 100 device-weeks that it may have beyond the ratio: one more by chance."""
    lead_share: float = 0.9
    """Of the median lead of the model in force that it must reach."""
    fewer_foreseen: int = 0
    """Findings that it may miss which the model in force foresaw."""


class Action(Enum):
    """What becomes of the challenger."""

    PROMOTE = "promote"
    REFUSE = "refuse"


class Reason(Enum):
    """Why."""

    FIRST_OF_ITS_COHORT = "there is no model in force"
    NOT_TRIED = "it was not tried beside the model in force"
    TOO_FEW_FINDINGS = "too little was found during its trial"
    MORE_BURDEN = "it would send people for nothing more often"
    FORESEES_FEWER = "it foresees fewer failures"
    LATER = "it foresees them later"
    AS_GOOD = "it is as good in burden, failures foreseen and lead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An action, its reason, and the figures behind it in words."""

    action: Action
    reason: Reason
    told: str = ""

    def __str__(self) -> str:
        return f"{self.reason.value}{': ' if self.told else ''}{self.told}"


def decide_promotion(
    champion: Figures | None, challenger: Figures | None, policy: Policy
) -> Decision:
    """Decide whether a challenger takes over.

    `champion` None: nothing is in force. `challenger` None: it was never scored beside it.
    """
    if champion is None:
        return Decision(action=Action.PROMOTE, reason=Reason.FIRST_OF_ITS_COHORT)
    if challenger is None or not challenger.device_weeks:
        return _refused(Reason.NOT_TRIED, "let `foremend shadow` run for a while")
    if challenger.findings < policy.min_findings:
        return _refused(
            Reason.TOO_FEW_FINDINGS,
            f"{challenger.findings} failures, and {policy.min_findings} are wanted",
        )
    return _worse(champion, challenger, policy) or Decision(
        action=Action.PROMOTE, reason=Reason.AS_GOOD
    )


def _worse(champion: Figures, challenger: Figures, policy: Policy) -> Decision | None:
    """Give the first figure in which the challenger falls short."""
    limit = champion.burden * policy.burden_ratio + policy.burden_margin
    if challenger.burden > limit:
        return _refused(
            Reason.MORE_BURDEN,
            f"{challenger.burden:.1f} false orders per 100 device-weeks, {limit:.1f} may be",
        )
    wanted = champion.foreseen - policy.fewer_foreseen
    if challenger.foreseen < wanted:
        return _refused(
            Reason.FORESEES_FEWER,
            f"{challenger.foreseen} of {challenger.findings}, and {wanted} are wanted",
        )
    least_h = (champion.median_lead_h or 0.0) * policy.lead_share
    if (challenger.median_lead_h or 0.0) < least_h:
        return _refused(
            Reason.LATER,
            f"{challenger.median_lead_h or 0.0:.1f} h ahead, and {least_h:.1f} h are wanted",
        )
    return None


def _refused(reason: Reason, told: str) -> Decision:
    return Decision(action=Action.REFUSE, reason=reason, told=told)
