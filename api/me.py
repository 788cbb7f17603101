"""Who the caller is, as the server sees it."""

from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel

from api.access import UserDep

router: Final = APIRouter(tags=["account"])


class Me(BaseModel):
    """The caller's account."""

    login: str
    tenant: str
    role: str
    region: str | None
    permissions: list[str]


@router.get("/me")
def show_me(user: UserDep) -> Me:
    """Tell who the caller is and what its role allows."""
    return Me(
        login=user.login,
        tenant=user.tenant,
        role=user.role.value,
        region=user.region,
        permissions=sorted(p.value for p in user.permissions),
    )
