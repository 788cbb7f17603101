"""What thresholds are chosen for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """When an order is right, and what a missed failure weighs."""

    right_within_h: float
    """Hours within which the component must fail."""
    recall_weight: float
    """How many times as much as precision recall counts."""
