from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from alerting.courier import Courier
from alerting.delivery import LEASE, Answer, Parcel, Verdict, Why, judge
from alerting.envelope import body, headers, sentence
from alerting.guard import DestinationRefused
from alerting.outbox_store import MemoryOutbox
from alerting.schedule import JITTER, LONGEST, TRIES, wait_after

NOW = datetime.now(UTC)
OLD, NEW = "whsec_b2xkIHNlY3JldA==", "whsec_bmV3IHNlY3JldA=="
PARCEL = Parcel(
    id=1,
    tenant="demo",
    key="wo-1-opened",
    destination_id=1,
    kind="webhook",
    url="https://hook.example/in",
    secrets=(NEW, OLD),
    event="work_order.opened",
    payload={"order": "WO-1", "text": "WO-1: kit FAN-2", "device": "printer-07"},
    created_at=NOW,
    attempts=0,
)


def test_retries_go_on_for_days_and_then_end() -> None:
    waits = [wait_after(n, 0.5) for n in range(1, TRIES + 1)]
    assert waits[-1] is None
    total = sum((w for w in waits if w), timedelta(0))
    assert timedelta(days=3) < total < timedelta(days=6)


@given(st.integers(1, TRIES - 1), st.floats(0, 1, exclude_max=True))
def test_a_wait_stays_within_its_jitter_and_its_cap(attempts: int, chance: float) -> None:
    middle, wait = wait_after(attempts, 0.5), wait_after(attempts, chance)
    assert middle is not None
    assert wait is not None
    assert abs(wait - middle) <= JITTER * middle * 1.001
    assert wait <= LONGEST * (1 + JITTER)


@pytest.mark.parametrize(
    ("answer", "attempts", "verdict", "why"),
    [
        (Answer(status=204), 1, Verdict.DELIVERED, Why.ACCEPTED),
        (Answer(status=302), 1, Verdict.RETRY, Why.FAILED),
        (Answer(status=400), 1, Verdict.RETRY, Why.FAILED),
        (Answer(status=500), TRIES, Verdict.DEAD, Why.LAST_TRY_FAILED),
        (Answer(error="timeout"), 3, Verdict.RETRY, Why.FAILED),
        (Answer(status=410), 1, Verdict.DISABLE, Why.GONE),
        (Answer(error="private", final=True), 1, Verdict.DEAD, Why.REFUSED_BY_GUARD),
    ],
)
def test_what_an_answer_means(answer: Answer, attempts: int, verdict: Verdict, why: Why) -> None:
    outcome = judge(answer, attempts, 0.5)
    assert (outcome.verdict, outcome.why) == (verdict, why)
    assert (outcome.wait is not None) == (verdict is Verdict.RETRY)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_either_secret_verifies_while_a_key_is_being_changed(secret: str) -> None:
    text = body(PARCEL)
    event = Webhook(secret).verify(text, headers(PARCEL, text, NOW))
    assert (event["specversion"], event["id"], event["type"]) == (
        "1.0",
        "wo-1-opened",
        "work_order.opened",
    )
    assert event["source"] == "/foremend/demo"


def test_a_changed_body_does_not_verify() -> None:
    text = body(PARCEL)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(text.replace("WO-1", "WO-2"), headers(PARCEL, text, NOW))


def test_the_id_stays_over_retries_and_the_signature_is_made_anew() -> None:
    text = body(PARCEL)
    first, second = (headers(PARCEL, text, NOW + n * timedelta(hours=1)) for n in (0, 1))
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_ü"])
def test_a_secret_that_cannot_sign_is_refused_with_a_sentence(secret: str) -> None:
    with pytest.raises(DestinationRefused, match="signing secret"):
        headers(replace(PARCEL, secrets=(secret,)), "{}", NOW)


def test_people_read_the_sentence_of_whoever_wrote_the_event() -> None:
    assert sentence(PARCEL) == ("work order opened: printer-07", "WO-1: kit FAN-2")
    bare = replace(PARCEL, payload={"device": "printer-07", "probability": 0.93, "list": []})
    assert sentence(bare)[1] == "device: printer-07\nprobability: 0.93"


class Doors:
    """A sender whose answers are prepared by destination; one may be made to hang."""

    def __init__(self, answers: dict[int, Answer], hanging: int | None = None) -> None:
        self.answers, self.hanging = answers, hanging
        self.open, self.tried = threading.Event(), list[tuple[int, int]]()

    def send(self, parcel: Parcel) -> Answer:
        self.tried.append((parcel.destination_id, parcel.attempts))
        if parcel.destination_id == self.hanging:
            assert self.open.wait(20)
        return self.answers[parcel.destination_id]


def outbox(*destinations: int) -> MemoryOutbox:
    parcels = {
        n: replace(PARCEL, id=n, destination_id=d) for n, d in enumerate(destinations, start=1)
    }
    return MemoryOutbox(now=NOW, parcels=parcels)


def carry(courier: Courier, store: MemoryOutbox, *, until: set[int]) -> None:
    while store.delivered | set(store.dead) != until:
        courier.step(store)


def test_a_destination_that_hangs_delays_no_other_and_gets_nothing_twice() -> None:
    doors = Doors({1: Answer(status=200), 2: Answer(status=200)}, hanging=1)
    courier, store = Courier(sender=doors, chance=lambda: 0.5), outbox(1, 1, 2, 2)
    carry(courier, store, until={3, 4})
    assert [d for d, _ in doors.tried].count(1) == 1
    doors.open.set()
    carry(courier, store, until={1, 2, 3, 4})
    courier.close(store)
    assert sorted(doors.tried) == [(1, 1), (1, 1), (2, 1), (2, 1)]


def test_gone_disables_the_destination_and_spares_it_the_rest() -> None:
    doors = Doors({1: Answer(status=410)})
    courier, store = Courier(sender=doors, chance=lambda: 0.5), outbox(1, 1)
    carry(courier, store, until={1})
    courier.step(store)
    courier.close(store)
    assert store.disabled == {1}
    assert len(doors.tried) == 1


def test_the_last_failed_try_makes_a_dead_letter_with_its_error() -> None:
    doors = Doors({1: Answer(error="timeout")})
    courier, store = Courier(sender=doors, chance=lambda: 0.5), outbox(1)
    while not store.dead:
        courier.step(store)
        if not courier.waits():
            store.now += LONGEST * 2
    courier.close(store)
    assert store.dead == {1: "timeout"}
    assert [attempt for _, attempt in doors.tried] == list(range(1, TRIES + 1))


def test_a_way_that_breaks_is_tried_again_and_stops_no_other() -> None:
    doors = Doors({2: Answer(status=200)})
    courier, store = Courier(sender=doors, chance=lambda: 0.5), outbox(1, 2)
    carry(courier, store, until={2})
    courier.close(store)
    assert store.next_at[1] > store.now
    assert store.dead == {}


def test_a_try_that_is_never_settled_comes_back_when_its_lease_ends() -> None:
    store = outbox(1)
    assert [p.attempts for p in store.claim(8, ())] == [1]
    assert store.claim(8, ()) == []
    store.now += LEASE
    assert [p.attempts for p in store.claim(8, ())] == [2]
