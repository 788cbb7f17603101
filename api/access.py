"""Who a request comes from, whether it may, and whether it comes from a page of ours."""

import hmac
import ipaddress
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Form, Header, Request, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from api import accounts
from api.accounts import User
from api.problems import Forbidden, ForeignForm, SignInRequired
from api.roles import Permission
from api.server import Server, server_of

COOKIE: Final = "foremend_session"

ServerDep = Annotated[Server, Depends(server_of)]
_bearer: Final = HTTPBearer(auto_error=False, description="a program's token")
_cookie: Final = APIKeyCookie(name=COOKIE, auto_error=False, description="a person's session")


def signed_in(
    server: ServerDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> User:
    """Give the account behind a bearer token or else a session's cookie.

    Raises:
        SignInRequired: neither, or it no longer holds.
    """
    with server.pool.connection() as connection:
        if bearer is not None:
            user = accounts.by_bearer(connection, bearer.credentials)
        elif cookie:
            user = accounts.by_cookie(connection, cookie)
        else:
            user = None
    if user is None:
        raise SignInRequired
    return user


UserDep = Annotated[User, Depends(signed_in)]


def may(permission: Permission) -> Callable[[User], User]:
    """Give the dependency that lets through who has `permission`."""

    def allowed(user: UserDep) -> User:
        if not user.may(permission):
            raise Forbidden(f"the role {user.role.value} does not have {permission.value}")
        return user

    return allowed


Reader = Annotated[User, Depends(may(Permission.READ_FLEET))]
OrderReader = Annotated[User, Depends(may(Permission.READ_ORDERS))]


def same_origin(headers: dict[str, str], host: str) -> bool:
    """Tell whether a browser says that the request began on a page of this host.

    A program sends neither header and has no cookie to abuse, so silence is let through.

    >>> same_origin({"origin": "https://elsewhere.example"}, "console.example")
    False
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host


def from_own_page(request: Request) -> None:
    """Refuse what another site's page made a browser send.

    Raises:
        ForeignForm: the browser names another origin.
    """
    if not same_origin(dict(request.headers), request.headers.get("host", "")):
        raise ForeignForm


def with_header_token(
    request: Request,
    x_form_token: Annotated[str | None, Header(description="needed beside a cookie")] = None,
) -> None:
    """Guard a changing route of the REST API: a cookie alone is not enough.

    Raises:
        ForeignForm: a cookie without its form token, or from another site.
    """
    if request.headers.get("authorization"):
        return
    _check_token(request, x_form_token or "")


def with_form_token(request: Request, form_token: Annotated[str, Form()] = "") -> None:
    """Guard a form of the console.

    Raises:
        ForeignForm: the hidden token is missing or another session's.
    """
    _check_token(request, form_token)


def _check_token(request: Request, token: str) -> None:
    from_own_page(request)
    expected = accounts.form_token(request.cookies.get(COOKIE, ""))
    if not hmac.compare_digest(expected.encode(), token.encode()):
        raise ForeignForm


ApiWrite = Depends(with_header_token)
FormWrite = Depends(with_form_token)


def address_of(request: Request) -> str:
    """Give the network address that failed attempts are counted by; IPv6 by its /64."""
    text = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return text


def needs_https(request: Request) -> bool:
    """Tell whether a cookie must not travel here in clear; only this machine itself is exempt."""
    return request.url.scheme == "https" or not _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def give_cookie(request: Request, response: Response, token: str) -> None:
    """Set the session's cookie: not for scripts, not for other sites' forms, not in clear."""
    response.set_cookie(
        COOKIE, token, httponly=True, secure=needs_https(request), samesite="lax", path="/"
    )


def take_cookie(response: Response) -> None:
    """Take the session's cookie back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
