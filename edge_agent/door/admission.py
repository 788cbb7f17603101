"""Credentials as an agent's configuration file names them: enrolled once, renewed when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.config import read_config
from edge_agent.door.credentials import Vault
from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.config import HostConfig
    from edge_agent.door.credentials import Credentials


def enrol(config_path: Path, *, url: str | None, token: str | None, allow_http: bool | None) -> str:
    """Claim credentials, by what is given or else by the `[enrol]` table; gives the login.

    Raises:
        ConfigurationError: no address or no token is given.
        EnrolmentRefused: the server refuses.
        Unavailable: the server does not answer.
    """
    config = read_config(config_path)
    told = config.enrol
    where, word = url or (told and told.url), token or (told and told.token)
    if not where or not word:
        raise ConfigurationError("name --url and --token, or give the file an [enrol] table")
    plain = bool(told and told.allow_http) if allow_http is None else allow_http
    return _claimed(config, vault_of(config, config_path), where, word, allow_http=plain).login


def renew(config_path: Path) -> str:
    """Renew the secret; gives the login. A running agent uses it from its next connection on."""
    from edge_agent.door import enrol as enrolment  # noqa: PLC0415 - a running agent needs no HTTP

    vault = vault_of(read_config(config_path), config_path)
    return enrolment.renew(vault, post=enrolment.post_json).login


def admitted(config: HostConfig, vault: Vault) -> Credentials | None:
    """Give the credentials, claiming them first where the file has an `[enrol]` table.

    None where the agent needs none: then its configuration says how to log in.
    """
    known = vault.read()
    if known is not None or config.enrol is None:
        return known
    told = config.enrol
    return _claimed(config, vault, told.url, told.token, allow_http=told.allow_http)


def vault_of(config: HostConfig, config_path: Path) -> Vault:
    """Give the file of the credentials, beside the configuration."""
    return Vault(config_path.parent / config.credentials)


def _claimed(
    config: HostConfig, vault: Vault, url: str, token: str, *, allow_http: bool
) -> Credentials:
    from edge_agent.door import enrol as enrolment  # noqa: PLC0415 - likewise

    return enrolment.enrol(
        vault,
        url=url,
        token=token,
        device=config.agent.device,
        allow_http=allow_http,
        post=enrolment.post_json,
    )
