"""Which model is in force: promotion behind its gate, rollback in one step, and who did it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from psycopg.rows import dict_row

from api import audit
from foremend.db import EVERY_TENANT, transaction
from foremend.errors import Conflict, ForemendError, NotFound, Remedy
from models import registry
from models.priors import KIND as PRIOR
from models.scoring.store import announce
from models.trials import store as trials
from models.trials.promotion import Action, Policy, decide_promotion

if TYPE_CHECKING:
    from foremend.db import Connection
    from foremend.db.connection import DictConnection
    from models.registry import Record
    from models.signing import Trusted
    from models.trials.promotion import Decision, Figures

LOGGED_AS: Final = {"failure": "model", PRIOR: "prior"}
"""Kinds of model that scoring follows, as the input log names them."""


class PromotionRefused(ForemendError):
    """This model does not take over: see `foremend models compare`."""

    remedy = Remedy.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks for a change, and why."""

    tenant: str
    why: str = ""
    force: bool = False
    timeline: str | None = None
    """Judge the trial on this timeline alone."""
    policy: Policy


def put_in_force(connection: Connection, record: Record) -> None:
    """Register a model, make it champion and log its adoption, all or nothing.

    The prior that was learnt beside it, if it is here, goes before it.
    """
    shelf = registry.PostgresShelf(connection)
    with transaction(connection, tenant=EVERY_TENANT):
        shelf.put(record)
        _bring_prior(connection, record)
        registry.promote(shelf, record.version)
        _log(connection, record)


def _bring_prior(connection: Connection, record: Record) -> None:
    shelf = registry.PostgresShelf(connection)
    version = record.meta.get("prior")
    if version is None or shelf.champion(PRIOR, record.cohort) == version:
        return
    with suppress(NotFound):  # a model that was imported without it goes on without it
        _log(connection, registry.promote(shelf, version))


def decided(connection: Connection, record: Record, asked: Asked) -> Decision:
    """Ask the gate."""
    champion = registry.PostgresShelf(connection).champion(record.kind, record.cohort)
    if champion is None:
        return decide_promotion(None, None, asked.policy)
    in_force, shadow = trials.figures(connection, record.version, timeline=asked.timeline)
    return decide_promotion(in_force, shadow, asked.policy)


def promote(connection: Connection, version: str, trusted: Trusted, asked: Asked) -> Decision:
    """Put a version in force where the gate lets it, or where a person overrules it and says why.

    Raises:
        NotFound: there is no such version.
        Conflict: it is in force already.
        SignatureRefused, LibraryMismatch: scoring could not load it.
        PromotionRefused: the gate says no, and nobody overruled it.
    """
    record = _verified(connection, version, trusted)
    if record.stage == "champion":
        raise Conflict(f"model {version} is in force already")
    decision = decided(connection, record, asked)
    if decision.action is Action.REFUSE and not asked.force:
        raise PromotionRefused(
            f"model {version} stays a {record.stage}: {decision}; "
            "overrule it with --force --why TEXT"
        )
    with transaction(connection, tenant=EVERY_TENANT):
        put_in_force(connection, record)
        trials.end(connection, version)
        _note(connection, asked, "model.promote", record, decision)
    return decision


def _verified(connection: Connection, version: str, trusted: Trusted) -> Record:
    """Give a version that scoring can load, and whose prior it can load."""
    shelf = registry.PostgresShelf(connection)
    record = shelf.get(version)
    registry.opened(record, trusted)
    with suppress(NotFound):
        if (prior := record.meta.get("prior")) is not None:
            registry.opened(shelf.get(prior), trusted)
    return record


def roll_back(connection: Connection, kind: str, family: str, asked: Asked) -> Record:
    """Put back the version that the one in force replaced, in one step.

    Raises:
        Conflict: there is no earlier one.
    """
    with transaction(connection, tenant=EVERY_TENANT):
        record = registry.roll_back(registry.PostgresShelf(connection), kind, family)
        _bring_prior(connection, record)
        _log(connection, record)
        _note(connection, asked, "model.rollback", record, None)
    return record


def _log(connection: Connection, record: Record) -> None:
    """Let scoring follow the version from this position of the log on."""
    if record.kind in LOGGED_AS:
        kind = LOGGED_AS[record.kind]
        announce(connection, kind=kind, cohort=record.cohort, version=record.version)


def _note(
    connection: Connection, asked: Asked, action: str, record: Record, decision: Decision | None
) -> None:
    details: dict[str, Any] = {"cohort": record.cohort, "kind": record.kind, "why": asked.why}
    if decision is not None:
        forced = decision.action is Action.REFUSE
        details |= {"gate": decision.reason.name.lower(), "told": decision.told, "forced": forced}
    before = connection.row_factory
    connection.row_factory = dict_row  # type: ignore[assignment]
    try:
        audit.note(
            cast("DictConnection", connection),
            tenant=asked.tenant,
            actor="command line",
            action=action,
            subject=record.version,
            details=details,
        )
    finally:
        connection.row_factory = before


def plain(figures: Figures) -> dict[str, Any]:
    """Give figures as JSON holds them."""
    return asdict(figures) | {"false_per_100_device_weeks": figures.burden}
