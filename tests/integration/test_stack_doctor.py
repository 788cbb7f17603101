"""The doctor looks at real servers, folders and ports, and changes none of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pydantic import SecretStr

from foremend.settings import Settings
from stack.checks import Verdict
from stack.doctor import examine
from stack.embedded.datadir import open_data_dir
from stack.embedded.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from stack.checks import Finding
    from tests.conftest import BrokerAddress, DatabaseUrls


def by_subject(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(settings)}


def test_a_fresh_machine_is_sound_and_stays_untouched(tmp_path: Path) -> None:
    found = by_subject(Settings(data_dir=tmp_path / "var", api_port=free_port()))

    assert {f.verdict for f in found.values()} <= {Verdict.OK, Verdict.WARN}
    assert "will be made at the first start" in found["data folder"].sentence
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_said_to_be_and_stays_locked(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "var"):
        found = by_subject(Settings(data_dir=tmp_path / "var", api_port=0))

    assert "Foremend runs on" in found["data folder"].sentence
    assert found["data folder"].verdict is Verdict.OK


def test_a_foreign_folder_and_a_taken_port_are_found(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        found = by_subject(Settings(data_dir=tmp_path, api_port=port))

    assert found["data folder"].verdict is Verdict.FAIL
    assert found[f"port {port}"].verdict is Verdict.FAIL


def test_given_servers_are_asked(
    tmp_path: Path, migrated_urls: DatabaseUrls, broker: BrokerAddress
) -> None:
    settings = Settings(
        data_dir=tmp_path / "var",
        database_url=SecretStr(migrated_urls.app),
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.user,
        broker_password=SecretStr(broker.password),
        api_port=0,
    )

    found = by_subject(settings)

    assert found["database"].verdict is Verdict.OK
    assert found["broker"].verdict is Verdict.OK


def test_given_servers_that_are_not_there_are_missed(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path / "var",
        database_url=SecretStr(f"postgresql://nobody:x@127.0.0.1:{free_port()}/none"),
        broker_port=free_port(),
        api_port=0,
    )

    found = by_subject(settings)

    assert found["database"].verdict is Verdict.FAIL
    assert found["broker"].verdict is Verdict.FAIL


def test_a_database_without_a_schema_is_told_from_one_that_is_away(
    tmp_path: Path, database_url: str
) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(database_url), api_port=0)

    assert "has no schema yet" in by_subject(settings)["database"].sentence
