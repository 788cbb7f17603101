"""Model versions as the registry keeps them; read only."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api.access import ServerDep, may
from api.accounts import User
from api.devices import DictConnection
from api.roles import Permission
from foremend.db import Queries

_SQL: Final = Queries.load("api", "model_versions.sql")
router: Final = APIRouter(tags=["models"])
ModelReader = Annotated[User, Depends(may(Permission.READ_MODELS))]


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


@router.get("/models")
def list_models(server: ServerDep, user: ModelReader) -> list[ModelVersion]:
    """List model versions: champions, shadows, then the retired."""
    with server.work(user) as connection:
        return read_models(connection)


def read_models(connection: DictConnection) -> list[ModelVersion]:
    """Give every model version that the registry holds, at most 200."""
    return [ModelVersion.model_validate(row) for row in connection.execute(_SQL["list"])]
