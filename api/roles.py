"""Who may do what: one table, read by every route."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Permission(Enum):
    """One thing that a route asks for."""

    READ_FLEET = "read_fleet"
    """Devices, telemetry, hazards and alerts."""
    READ_ORDERS = "read_orders"
    READ_MODELS = "read_models"
    READ_TRUTH = "read_truth"
    """A simulation's truth; nobody has it of real devices."""
    HANDLE_ALERTS = "handle_alerts"
    """Acknowledge and silence."""
    OPEN_ORDERS = "open_orders"
    """Open an order by hand, without a prediction."""
    WORK_ORDERS = "work_orders"
    """Accept, begin, fit, hold, resume, or report that it cannot be completed."""
    DIRECT_ORDERS = "direct_orders"
    """Choose another strategy, ship a kit, cancel."""
    MANAGE_DEVICES = "manage_devices"
    """Let devices in, renew their secrets, shut them out."""
    COMMAND_DEVICES = "command_devices"
    """Send commands, set the configuration."""


class Role(Enum):
    """What an account is for; the same words stand in the database."""

    ENGINEER = "engineer"
    DISPATCHER = "dispatcher"
    TECHNICIAN = "technician"
    PARTNER = "partner"
    OWNER = "owner"
    AUDITOR = "auditor"
    ADMIN = "admin"


_READ: Final = frozenset({Permission.READ_FLEET, Permission.READ_ORDERS})
_DEVICES: Final = frozenset({Permission.MANAGE_DEVICES, Permission.COMMAND_DEVICES})
_ENGINEERING: Final = frozenset({Permission.READ_MODELS, Permission.READ_TRUTH})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.ADMIN: frozenset(Permission),
    Role.ENGINEER: _READ | _ENGINEERING | _DEVICES | {Permission.HANDLE_ALERTS},
    Role.DISPATCHER: frozenset(Permission) - _ENGINEERING - {Permission.MANAGE_DEVICES},
    Role.TECHNICIAN: _READ | {Permission.WORK_ORDERS, Permission.HANDLE_ALERTS},
    # An outside provider sees orders of its region, not the fleet behind them.
    Role.PARTNER: frozenset({Permission.READ_ORDERS, Permission.WORK_ORDERS}),
    Role.AUDITOR: _READ | _ENGINEERING,
    # Devices do not name their owners yet, so an owner's account may see none of them.
    Role.OWNER: frozenset(),
}


def permissions_of(role: Role) -> frozenset[Permission]:
    """Give all that a role may do."""
    return PERMISSIONS[role]


_DIRECTING: Final = frozenset({"choose", "ship", "cancel"})


def permission_for_move(action: str) -> Permission:
    """Give what an account needs to move an order by `action`.

    >>> permission_for_move("cancel")
    <Permission.DIRECT_ORDERS: 'direct_orders'>
    """
    return Permission.DIRECT_ORDERS if action in _DIRECTING else Permission.WORK_ORDERS
