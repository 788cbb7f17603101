"""A device claims its own credentials once, by HTTP, and comes in with them."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api import credentials, throttle
from edge_agent import __main__ as agent_command
from edge_agent.config import read_config
from edge_agent.door import admission
from edge_agent.door.credentials import Vault
from edge_agent.door.enrol import EnrolmentRefused, checked, enrol, post_json, renew
from foremend.errors import ConfigurationError, Unavailable
from tests.api_server import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests import api_server

CONFIG = """
[agent]
tenant = "demo"
device = "{device}"

[source]
kind = "lines"
family = "fdm_printer"
model = "Vela 2"
channels = [{{ name = "hotend", unit = "Cel" }}]
"""


@pytest.fixture(scope="module")
def site(new_migrated: Any) -> Iterator[api_server.Site]:
    with running(new_migrated().app) as console:
        yield console


@pytest.fixture
def engineer(site: api_server.Site) -> Iterator[httpx.Client]:
    with site.program("engineer") as client:
        yield client


@pytest.fixture
def stranger(site: api_server.Site) -> Iterator[httpx.Client]:
    site.execute("DELETE FROM sign_in_failure")
    with httpx.Client(base_url=f"{site.url}/api/v1", timeout=20) as client:
        yield client


def claim(engineer: httpx.Client, device: str) -> str:
    answer = engineer.post("/credentials/claims", json={"device": device})
    assert answer.status_code == 201
    return str(answer.json()["token"])


def kept(site: api_server.Site, device: str) -> Any:
    rows = site.execute(
        "SELECT secret_hash, revoked_at FROM device_credential WHERE device = %s", device
    )
    return rows[0] if rows else None


def test_a_claim_gives_credentials_and_all_a_device_needs_to_speak(
    site, engineer, stranger
) -> None:
    answer = stranger.post("/enrol", json={"token": claim(engineer, "printer-01")})

    told = answer.json()
    assert answer.status_code == 201
    assert told["login"] == "printer-01@demo"
    assert told["broker"]["port"] == 1883
    assert len(told["secret"]) == 43
    assert told["secret"] not in str(kept(site, "printer-01"))


def test_a_claim_is_used_once(engineer, stranger) -> None:
    token = claim(engineer, "printer-02")
    assert stranger.post("/enrol", json={"token": token}).status_code == 201

    again = stranger.post("/enrol", json={"token": token})

    assert again.status_code == 403
    assert again.headers["content-type"] == "application/problem+json"
    assert again.json()["detail"] == "no credentials for this token: used"


def test_of_two_who_race_for_one_claim_one_gets_it(site, engineer, stranger) -> None:
    def race(number: int, token: str) -> int:
        return httpx.post(
            f"{site.url}/api/v1/enrol",
            json={"token": token, "device": f"racer-{number}"},
            timeout=20,
        ).status_code

    for _ in range(8):
        token = claim(engineer, "racer-*")
        site.execute("DELETE FROM device_credential WHERE device LIKE 'racer-%%'")
        with ThreadPoolExecutor(2) as pool:
            codes = sorted(pool.map(race, (1, 2), (token, token)))
        assert codes == [201, 403]
        held = site.execute("SELECT device FROM device_credential WHERE device LIKE 'racer-%%'")
        assert len(held) == 1
        site.execute("DELETE FROM sign_in_failure")


def test_a_token_for_many_takes_no_device_away(engineer, stranger) -> None:
    assert stranger.post("/enrol", json={"token": claim(engineer, "printer-03")}).is_success

    body = {"token": claim(engineer, "printer-*"), "device": "printer-03"}

    assert stranger.post("/enrol", json=body).json()["detail"].endswith("device_enrolled")


def test_whoever_guesses_is_soon_not_listened_to(stranger) -> None:
    codes = [
        stranger.post("/enrol", json={"token": f"{'x' * 43}@demo"}).status_code
        for _ in range(throttle.PER_ADDRESS + 1)
    ]

    assert set(codes[:-1]) == {403}
    assert codes[-1] == 429


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token": "no tenant"},
        {"token": "x@demo", "secret": "short"},
        {"token": "x@demo", "device": "../up"},
        {"token": "x" * 300},
    ],
)
def test_what_makes_no_sense_is_a_problem_and_not_an_error(stranger, body) -> None:
    answer = stranger.post("/enrol", json=body)
    assert answer.status_code in {403, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_only_who_manages_devices_makes_claims_and_revokes(site) -> None:
    for role in ("technician", "dispatcher", "auditor", "partner"):
        with site.program(role) as client:
            assert (
                client.post("/credentials/claims", json={"device": "printer-09"}).status_code == 403
            )
            assert client.post("/credentials/printer-01/revoke").status_code == 403
            assert client.get("/credentials").status_code == 403


def test_another_tenant_sees_and_revokes_nothing_of_ours(site, engineer, stranger) -> None:
    stranger.post("/enrol", json={"token": claim(engineer, "printer-04")})
    with site.program("engineer", tenant="other") as other:
        assert other.get("/credentials").json()["items"] == []
        assert other.post("/credentials/printer-04/revoke").status_code == 404


def test_a_revoked_device_is_listed_as_such_and_the_deed_is_noted(site, engineer, stranger) -> None:
    stranger.post("/enrol", json={"token": claim(engineer, "printer-05")})

    assert engineer.post("/credentials/printer-05/revoke").status_code == 204

    found = {c["device"]: c["revoked_at"] for c in engineer.get("/credentials").json()["items"]}
    assert found["printer-05"] is not None
    deeds = site.execute("SELECT action FROM audit_log WHERE subject = 'printer-05' ORDER BY id")
    assert deeds == [("device.claim",), ("device.enrol",), ("device.revoke",)]


def write_config(folder: Path, device: str, extra: str = "") -> Path:
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(device=device) + extra)
    return path


def test_an_agent_enrols_and_its_file_is_for_its_eyes_only(
    site, engineer, tmp_path, capsys
) -> None:
    path = write_config(tmp_path, "printer-06")

    agent_command.main(
        ["enrol", str(path), "--url", site.url, "--token", claim(engineer, "printer-06")]
    )

    file = tmp_path / "credentials.json"
    assert capsys.readouterr().out == "enrolled: printer-06@demo\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["agent.toml", "credentials.json"]
    assert Vault(file).login()[0] == "printer-06@demo"


def test_an_agent_with_an_enrol_table_enrols_at_its_first_start_only(
    site, engineer, tmp_path
) -> None:
    token = claim(engineer, "printer-07")
    extra = f'[enrol]\nurl = "{site.url}"\ntoken = "{token}"\n'
    path = write_config(tmp_path, "printer-07", extra)
    config = read_config(path)
    vault = admission.vault_of(config, path)

    first, second = admission.admitted(config, vault), admission.admitted(config, vault)

    assert first is not None
    assert first == second


def test_an_enrolment_whose_answer_was_lost_is_repeated(site, engineer, tmp_path) -> None:
    vault, token = Vault(tmp_path / "credentials.json"), claim(engineer, "printer-08")

    def deaf(url: str, body: dict[str, Any]) -> bytes:
        post_json(url, body)
        raise Unavailable("the answer was lost")

    with pytest.raises(Unavailable):
        enrol(vault, url=site.url, token=token, device="printer-08", post=deaf)
    enrol(vault, url=site.url, token=token, device="printer-08", post=post_json)

    known = vault.read()
    assert known is not None
    assert bytes(kept(site, "printer-08")[0]) == credentials.secret_hash(known.secret)


def test_a_renewal_whose_answer_was_lost_is_completed(site, engineer, tmp_path) -> None:
    vault, token = Vault(tmp_path / "credentials.json"), claim(engineer, "printer-10")
    first = enrol(vault, url=site.url, token=token, device="printer-10", post=post_json)

    def deaf(url: str, body: dict[str, Any]) -> bytes:
        post_json(url, body)
        raise Unavailable("the answer was lost")

    with pytest.raises(Unavailable):
        renew(vault, post=deaf)
    # Which of the two holds is not known here, so that both are tried.
    offered = {vault.login()[1] for _ in range(2)}
    renewed = renew(vault, post=post_json)

    assert offered == {first.secret, renewed.secret}
    assert renewed.next_secret is None
    assert bytes(kept(site, "printer-10")[0]) == credentials.secret_hash(renewed.secret)


def test_a_revoked_device_renews_nothing(site, engineer, tmp_path) -> None:
    vault, token = Vault(tmp_path / "credentials.json"), claim(engineer, "printer-11")
    enrol(vault, url=site.url, token=token, device="printer-11", post=post_json)
    engineer.post("/credentials/printer-11/revoke")

    with pytest.raises(EnrolmentRefused, match="not its secret"):
        renew(vault, post=post_json)


def test_a_token_does_not_travel_in_clear(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="in clear"):
        checked("http://console.example", allow_http=False)
    assert checked("https://console.example/x", allow_http=False) == "https://console.example"
    assert checked("http://127.0.0.1:8420", allow_http=False) == "http://127.0.0.1:8420"


def test_credentials_that_others_can_read_are_refused(tmp_path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text("{}")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Vault(file).read()
