"""Model versions, their trials and proposals to learn anew, as they are kept; read only."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api.access import ServerDep, may
from api.accounts import User
from api.devices import DictConnection
from api.roles import Permission
from foremend.db import Queries
from models import proposals
from models.trials import store as trials
from models.trials.promotion import Figures

_SQL: Final = Queries.load("api", "model_versions.sql")
router: Final = APIRouter(tags=["models"])
ModelReader = Annotated[User, Depends(may(Permission.READ_MODELS))]


class Worth(BaseModel):
    """What a model's would-be orders were worth on live data."""

    device_weeks: float
    findings: int
    """Failures found on what was looked at."""
    orders: int
    """Whose outcome is known."""
    true_orders: int
    undecided: int
    foreseen: int
    median_lead_h: float | None
    false_per_100_device_weeks: float


class ModelTrial(BaseModel):
    """A challenger beside what was in force, over the same time."""

    begun_at: datetime
    ended_at: datetime | None
    fault: str | None
    """Why it could not go on."""
    in_force: Worth
    shadow: Worth


class RetrainProposal(BaseModel):
    """A family has drifted, and somebody should decide whether its model is learnt anew."""

    id: int
    timeline: str
    cohort: str
    kind: str
    """`score_tail` or `residual`."""
    reason: str
    version: str
    """The model that was in force."""
    drifted_at: datetime
    before: float
    now: float
    devices: int
    proposed_at: datetime


class ModelVersion(BaseModel):
    """One signed artefact and what is known of it."""

    version: str
    kind: str
    cohort: str
    """The device family it serves."""
    stage: str
    sha256: str
    kid: str
    """The key that signed it."""
    bytes: int
    meta: dict[str, Any]
    """Data window, code and library versions, metrics, lineage."""
    created_at: datetime
    promoted_at: datetime | None
    replaces: str | None
    trial: ModelTrial | None = None


@router.get("/models")
def list_models(server: ServerDep, user: ModelReader) -> list[ModelVersion]:
    """List model versions: champions, shadows, then the retired."""
    with server.work(user) as connection:
        return read_models(connection)


@router.get("/models/proposals")
def list_proposals(server: ServerDep, user: ModelReader) -> list[RetrainProposal]:
    """List the open proposals to learn anew; nothing is learnt unless somebody does it."""
    with server.work(user) as connection:
        return read_proposals(connection)


def read_models(connection: DictConnection) -> list[ModelVersion]:
    """Give every model version that the registry holds, at most 200."""
    rows = connection.execute(_SQL["list"]).fetchall()
    return [
        ModelVersion.model_validate(
            row | {"trial": _trial(connection, row["version"]) if row["tried"] else None}
        )
        for row in rows
    ]


def read_proposals(connection: DictConnection) -> list[RetrainProposal]:
    """Give the open proposals to learn anew, newest first."""
    return [
        RetrainProposal.model_validate(one, from_attributes=True)
        for one in proposals.read_open(connection)
    ]


def _trial(connection: DictConnection, version: str) -> ModelTrial | None:
    trial = trials.trial_of(connection, version)
    if trial is None:
        return None
    in_force, shadow = trials.read_figures(connection, version)
    return ModelTrial(
        begun_at=trial.begun_at,
        ended_at=trial.ended_at,
        fault=trial.fault,
        in_force=_worth(in_force),
        shadow=_worth(shadow),
    )


def _worth(figures: Figures) -> Worth:
    told = asdict(figures) | {"false_per_100_device_weeks": figures.burden}
    return Worth.model_validate(told)
