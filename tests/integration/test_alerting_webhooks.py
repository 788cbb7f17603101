"""Parcels to real receivers on loopback: signatures, refusals, redirects, people."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from alerting.delivery import Answer, Parcel
from alerting.send import AppriseSender, SenderByKind, WebhookSender
from alerting.service import sender
from foremend.settings import Settings
from tests.field_world import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerting.guard import Address

# Apprise looks for modules that newer Pythons lack, which older ones warn of.
OLD_MODULES = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=httpx.Timeout(0.3), trust_env=False) as made:
        yield made


def parcel(url: str, kind: str = "webhook") -> Parcel:
    return Parcel(
        id=1,
        tenant="demo",
        key="wo-1-opened",
        destination_id=1,
        kind=kind,
        url=url,
        secrets=(SECRET,),
        event="work_order.opened",
        payload={"order": "WO-1", "device": "printer-07", "text": "WO-1: kit FAN-2 °"},
        created_at=datetime.now(UTC),
        attempts=1,
    )


def webhooks(client: httpx.Client, *, allow_private: bool = True) -> WebhookSender:
    return WebhookSender(
        client=client, clock=lambda: datetime.now(UTC), allow_private=allow_private
    )


def test_a_receiver_verifies_what_it_gets(receiver: Receiver, client: httpx.Client) -> None:
    assert webhooks(client).send(parcel(receiver.url)) == Answer(status=204)
    ((headers, body),) = receiver.taken
    event = Webhook(SECRET).verify(body, headers)
    assert event["data"]["text"] == "WO-1: kit FAN-2 °"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert headers["host"] == receiver.url.split("/")[2]


def test_loopback_is_refused_unless_the_settings_allow_it(
    receiver: Receiver, client: httpx.Client
) -> None:
    answer = webhooks(client, allow_private=False).send(parcel(receiver.url))
    assert answer.final
    assert "FOREMEND_ALLOW_PRIVATE_DESTINATIONS" in answer.error
    assert receiver.taken == []


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, client: httpx.Client
) -> None:
    asked = []

    def resolver(host: str, port: int) -> list[Address]:
        asked.append((host, port))
        return [ip_address("127.0.0.1")]

    port = receiver.server.server_port
    way = replace(webhooks(client), resolver=resolver)
    assert way.send(parcel(f"http://hook.invalid:{port}/in")).status == 204
    assert asked == [("hook.invalid", port)]
    assert receiver.taken[0][0]["host"] == f"hook.invalid:{port}"


def test_a_redirect_is_not_followed(receiver: Receiver, client: httpx.Client) -> None:
    receiver.statuses.append(302)
    answer = webhooks(client).send(parcel(receiver.url))
    assert answer == Answer(status=302, error="status 302")
    assert len(receiver.taken) == 1


def test_a_receiver_that_refuses_is_quoted(receiver: Receiver, client: httpx.Client) -> None:
    receiver.statuses.append(410)
    assert webhooks(client).send(parcel(receiver.url)) == Answer(status=410, error="status 410")


def test_nobody_there_is_an_answer_too(client: httpx.Client) -> None:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        answer = webhooks(client).send(parcel(url))
    assert not answer.final
    assert answer.error.startswith("ConnectError")


def test_a_receiver_that_never_answers_is_given_up_in_time(client: httpx.Client) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        answer = webhooks(client).send(parcel(f"http://127.0.0.1:{server.getsockname()[1]}/"))
    assert answer.error.startswith("ReadTimeout")


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "nonsense"])
def test_what_is_no_web_address_is_refused_for_good(url: str, client: httpx.Client) -> None:
    assert webhooks(client).send(parcel(url)).final


@OLD_MODULES
def test_people_are_told_through_apprise(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "json://")
    way = SenderByKind({"apprise": AppriseSender(allow_private=True)})
    assert way.send(parcel(url, "apprise")).status == 200
    ((_, body),) = receiver.taken
    told = json.loads(body)
    assert (told["title"], told["message"]) == (
        "work order opened: printer-07",
        "WO-1: kit FAN-2 °",
    )


@pytest.mark.parametrize("scheme", ["json", "syslog", "dbus"])
def test_people_are_not_told_through_the_houses_own_doors(receiver: Receiver, scheme: str) -> None:
    answer = AppriseSender().send(parcel(receiver.url.replace("http", scheme), "apprise"))
    assert answer.final
    assert receiver.taken == []


@OLD_MODULES
def test_a_url_that_apprise_does_not_know_is_dead_at_once() -> None:
    assert AppriseSender(allow_private=True).send(parcel("nobody://x", "apprise")).final


def test_the_settings_decide_whether_private_destinations_are_allowed() -> None:
    for allowed in (False, True):
        ways = sender(Settings(allow_private_destinations=allowed)).ways
        assert [way.allow_private for way in ways.values()] == [allowed, allowed]  # type: ignore[attr-defined]
        ways["webhook"].client.close()  # type: ignore[attr-defined]
