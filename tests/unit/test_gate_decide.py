"""Who is let in, who may stay, and what a claim yields: the rules, without servers."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from api import claims
from api.claims import Claim
from foremend.errors import MalformedMessage, Unavailable
from foremend.wire import Address, Down, Up
from ingest.gate import callout, connz
from ingest.gate.decide import (
    Action,
    Asked,
    Credential,
    Reason,
    Session,
    StayAction,
    StayReason,
    decide,
    decide_stay,
)
from ingest.gate.nats_gate import NatsGate
from ingest.gate.nkey import Issuer, claims_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = hashlib.sha256(b"secret").digest()
OTHER = hashlib.sha256(b"other").digest()
HELD = Credential(
    login="printer-01@demo",
    tenant="demo",
    device="printer-01",
    secret_hash=SECRET,
    changed_at=NOW,
    revoked=False,
)
REVOKED = Credential(**{f: getattr(HELD, f) for f in HELD.__slots__} | {"revoked": True})


def asked(secret: bytes = SECRET, client_id: str = HELD.login) -> Asked:
    return Asked(login=HELD.login, secret_hash=secret, client_id=client_id)


@pytest.mark.parametrize(
    ("question", "credential", "reason"),
    [
        (asked(), HELD, Reason.OWN_SECRET),
        (asked(), None, Reason.UNKNOWN_LOGIN),
        (asked(secret=OTHER), HELD, Reason.WRONG_SECRET),
        (asked(), REVOKED, Reason.REVOKED),
        (asked(secret=OTHER), REVOKED, Reason.WRONG_SECRET),
        (asked(client_id="printer-02@demo"), HELD, Reason.FOREIGN_CLIENT_ID),
        (asked(client_id="foremend-ingest"), HELD, Reason.FOREIGN_CLIENT_ID),
        (asked(client_id=""), HELD, Reason.FOREIGN_CLIENT_ID),
    ],
)
def test_a_device_comes_in_as_itself_alone(question, credential, reason) -> None:
    decision = decide(question, credential)
    assert decision.reason is reason
    assert (decision.action is Action.ADMIT) is (reason is Reason.OWN_SECRET)


@pytest.mark.parametrize(
    ("began_at", "credential", "reason"),
    [
        (NOW, HELD, StayReason.VALID),
        (NOW + timedelta(hours=1), HELD, StayReason.VALID),
        (NOW - timedelta(seconds=1), HELD, StayReason.OLD_SECRET),
        (NOW + timedelta(hours=1), REVOKED, StayReason.REVOKED),
        (NOW, None, StayReason.UNKNOWN_LOGIN),
    ],
)
def test_a_session_lasts_as_long_as_what_it_came_in_by(began_at, credential, reason) -> None:
    session = Session(server="N", number=7, login=HELD.login, began_at=began_at)
    decision = decide_stay(session, credential)
    assert decision.reason is reason
    assert (decision.action is StayAction.STAY) is (reason is StayReason.VALID)


EXACT = Claim(device="printer-01", expires_at=NOW + timedelta(hours=1))
MANY = Claim(device="printer-*", expires_at=NOW + timedelta(hours=1))
USED = Claim(
    device="printer-01",
    expires_at=NOW + timedelta(hours=1),
    used_at=NOW,
    used_device="printer-01",
    used_secret=SECRET,
)


@pytest.mark.parametrize(
    ("claim", "device", "secret", "enrolled", "reason"),
    [
        (EXACT, "printer-01", SECRET, False, claims.Reason.FIRST_USE),
        (EXACT, "printer-01", SECRET, True, claims.Reason.FIRST_USE),
        (EXACT, "printer-02", SECRET, False, claims.Reason.OTHER_DEVICE),
        (MANY, "printer-02", SECRET, False, claims.Reason.FIRST_USE),
        (MANY, "printer-02", SECRET, True, claims.Reason.DEVICE_ENROLLED),
        (MANY, "machine-01", SECRET, False, claims.Reason.OTHER_DEVICE),
        (USED, "printer-01", SECRET, True, claims.Reason.SAME_REQUEST),
        (USED, "printer-01", OTHER, True, claims.Reason.USED),
        (USED, "printer-02", SECRET, False, claims.Reason.USED),
        (None, "printer-01", SECRET, False, claims.Reason.UNKNOWN_TOKEN),
    ],
)
def test_a_claim_yields_credentials_once(claim, device, secret, enrolled, reason) -> None:
    decision = claims.decide(claim, device=device, secret_hash=secret, enrolled=enrolled, now=NOW)
    assert decision.reason is reason


def test_a_claim_ends_at_its_instant() -> None:
    late = claims.decide(
        EXACT, device="printer-01", secret_hash=SECRET, enrolled=False, now=EXACT.expires_at
    )
    assert late.reason is claims.Reason.EXPIRED


def test_an_account_keys_name_is_what_nats_calls_it() -> None:
    # RFC 8032, section 7.1, first test vector; its name as base32 and CRC-16 by hand elsewhere.
    private = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    name = Issuer(private).name
    raw = base64.b32decode(name)

    assert (len(name), name[0], raw[0]) == (56, "A", 0)
    assert raw[1:33].hex().startswith("d75a980182b10ab7")


@given(st.binary(max_size=300))
def test_what_is_no_question_is_refused(token: bytes) -> None:
    with pytest.raises(MalformedMessage):
        callout.read_request(token)


def question(**client: str) -> bytes:
    told = {
        "server_id": {"id": "NSERVER"},
        "user_nkey": "UKEY",
        "client_info": {"type": "mqtt", "mqtt_id": "printer-01@demo", **client},
        "connect_opts": {"user": "printer-01@demo", "pass": "secret"},
    }
    payload = base64.urlsafe_b64encode(json.dumps({"nats": told}).encode()).rstrip(b"=")
    return b"e30." + payload + b".c2ln"


def test_the_mqtt_client_id_is_read_of_mqtt_clients_only() -> None:
    assert callout.read_request(question()).asked == asked()
    assert callout.read_request(question(type="nats")).asked.client_id == ""


def test_an_admitted_device_may_say_and_hear_what_is_its_own() -> None:
    issuer = Issuer(Ed25519PrivateKey.generate())
    answer = callout.admit(callout.read_request(question()), HELD, issuer, now_s=1000)
    outer = json.loads(claims_of(answer))
    inner = json.loads(claims_of(outer["nats"]["jwt"].encode()))
    own = Address(tenant="demo", device="printer-01")

    assert (outer["aud"], outer["sub"], outer["iss"]) == ("NSERVER", "UKEY", issuer.name)
    assert inner["exp"] == 1000 + callout.LONGEST_SESSION_S
    assert inner["nats"]["pub"]["allow"] == [f"{own.prefix}/up/*".replace("/", ".")]
    assert inner["nats"]["sub"]["allow"] == [
        f"{own.prefix}/down".replace("/", "."),
        f"{own.prefix}/down/>".replace("/", "."),
    ]
    assert own.up(Up.DATA) != own.down(Down.ACK)


class Away:
    """A register whose database does not answer."""

    def of(self, logins: object) -> dict[str, Credential]:
        raise Unavailable


def test_while_the_database_is_away_everybody_who_asks_is_told_so() -> None:
    issuer = Issuer(Ed25519PrivateKey.generate())
    gate = NatsGate(url="", system_url="", issuer=issuer, register=Away())

    refused, unreadable = gate._decide([question(), b"no question"])

    assert json.loads(claims_of(refused))["nats"]["error"] == "unavailable"
    assert unreadable == b""


class Shelf:
    """A register that knows one device."""

    def of(self, logins: object) -> dict[str, Credential]:
        return {HELD.login: HELD}


def asked_for(action: str, reason: str) -> float:
    told = {"action": action, "reason": reason}
    return REGISTRY.get_sample_value("foremend_gate_logins_total", told) or 0.0


@pytest.mark.parametrize(
    ("register", "client_id", "counted"),
    [
        (Shelf(), "printer-01@demo", ("admit", "own_secret")),
        (Shelf(), "printer-02@demo", ("refuse", "foreign_client_id")),
        (Away(), "printer-01@demo", ("refuse", "unavailable")),
    ],
)
def test_who_asks_to_come_in_is_counted_by_the_answer(register, client_id, counted) -> None:
    issuer = Issuer(Ed25519PrivateKey.generate())
    gate = NatsGate(url="", system_url="", issuer=issuer, register=register)
    before = asked_for(*counted)

    gate._decide([question(mqtt_id=client_id)])

    assert asked_for(*counted) == before + 1


def test_only_devices_among_the_sessions_are_looked_at() -> None:
    connections = [
        {"cid": 3, "start": "2026-03-01T00:00:00.123456789Z", "authorized_user": user}
        for user in ("foremend-services", "printer-01@demo", "")
    ]
    reply = json.dumps({"data": {"server_id": "N", "connections": connections}}).encode()

    assert [s.login for s in connz.devices_of(connz.sessions(reply))] == ["printer-01@demo"]
