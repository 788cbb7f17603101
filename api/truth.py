"""A simulation's truth beside what was predicted: for the comparison page, and nothing else."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api import judgement, scopes
from api.access import ServerDep, may
from api.accounts import User
from api.devices import DictConnection
from api.judgement import Comparison, Fault, FaultOutcome, Order, OrderOutcome
from api.roles import Permission
from api.scopes import Scope, WantedDep
from foremend.db import Queries
from foremend.errors import InputError, NotFound

_SQL: Final = Queries.load("api", "truth.sql")
router: Final = APIRouter(tags=["truth"])
TruthReader = Annotated[User, Depends(may(Permission.READ_TRUTH))]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the truth file; later lines of one fault replace earlier ones."""

    device: str
    component: str
    failure_mode: str
    onset_ms: int
    due_ms: int
    failed_ms: int | None = None
    repaired_ms: int | None = None

    def fault(self) -> Fault:
        """Give the fault as it is judged."""
        return Fault(**msgspec.structs.asdict(self))


class FaultRow(BaseModel):
    """One fault and what became of it; times in ms on the timeline."""

    device: str
    component: str
    failure_mode: str
    onset_ms: int
    failed_ms: int | None
    due_ms: int
    repaired_ms: int | None
    outcome: FaultOutcome
    order_number: int | None
    opened_ms: int | None
    lead_h: float | None


class OrderRow(BaseModel):
    """One predictive order and what it turned out to be."""

    number: int
    device: str
    component: str
    failure_mode: str
    opened_ms: int
    probability: float | None
    state: str
    outcome: OrderOutcome


class TruthReport(BaseModel):
    """Predictions against the truth."""

    timeline: str
    foreseen: int
    missed: int
    developing: int
    replaced: int
    true_orders: int
    late_orders: int
    false_orders: int
    median_lead_h: float | None
    faults: list[FaultRow]
    orders: list[OrderRow]


@router.get("/truth")
def show_truth(server: ServerDep, user: TruthReader, wanted: WantedDep) -> TruthReport:
    """Compare a simulation's work orders with its truth, where the server was told of it."""
    file = server.settings.truth_file
    if file is None:
        raise NotFound("no truth is known here: only a simulation has one")
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        return report(scope, read_comparison(connection, scope, file))


def read_comparison(connection: DictConnection, scope: Scope, file: Path) -> Comparison:
    """Judge the timeline's predictive orders by the truth file.

    Raises:
        InputError: a line of the file is not a fault.
    """
    names = {row["name"] for row in connection.execute(_SQL["devices"], scope.params)}
    orders = [Order(**row) for row in connection.execute(_SQL["orders"], scope.params)]
    return judgement.compare([f for f in read_faults(file) if f.device in names], orders)


def read_faults(file: Path) -> list[Fault]:
    """Read the file's faults; none where it has not been written yet.

    A last line without an end is still being written, and is left for the next time.

    Raises:
        InputError: a line is not a fault; names it.
    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return []
    latest: dict[tuple[str, str, int], Line] = {}
    for number, line in enumerate(text.split(b"\n")[:-1], start=1):
        if line.strip():
            fault = _line(file, number, line)
            latest[fault.device, fault.component, fault.onset_ms] = fault
    return [line.fault() for line in latest.values()]


def _line(file: Path, number: int, line: bytes) -> Line:
    try:
        return msgspec.json.decode(line, type=Line)
    except msgspec.DecodeError as error:
        raise InputError(file, number, None, str(error)) from error


def report(scope: Scope, comparison: Comparison) -> TruthReport:
    """Give the comparison as the API tells it."""
    return TruthReport(
        timeline=scope.timeline,
        **{outcome.value: comparison.count(outcome) for outcome in FaultOutcome},
        **{f"{o.value}_orders": comparison.count_orders(o) for o in OrderOutcome},
        median_lead_h=comparison.median_lead_h,
        faults=[_fault_row(judged) for judged in comparison.faults],
        orders=[_order_row(judged) for judged in comparison.orders],
    )


def _fault_row(judged: judgement.JudgedFault) -> FaultRow:
    return FaultRow(
        **_fields(judged.fault),
        outcome=judged.outcome,
        order_number=judged.order.number if judged.order else None,
        opened_ms=judged.order.opened_ms if judged.order else None,
        lead_h=judged.lead_h,
    )


def _order_row(judged: judgement.JudgedOrder) -> OrderRow:
    return OrderRow(**_fields(judged.order), outcome=judged.outcome)


def _fields(value: Fault | Order) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
