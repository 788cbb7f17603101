"""The downlink over an outbox in memory: verified first, run once, answered always."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.downlink.keys import Keyring, Unsigned
from edge_agent.downlink.kinds import Commandable, CommandFailed
from edge_agent.downlink.orders import UNSIGNED, Downlink
from edge_agent.downlink.twin import Twin
from edge_agent.outbox.group import DeviceOutbox, Grouping, serving
from edge_agent.outbox.store import LOST, MemoryStore
from edge_agent.sampling.config import SamplingConfig
from foremend import wire
from foremend.clock import ManualClock
from foremend.keys import SigningKey
from foremend.values import Phase
from foremend.wire import Address, Command, Down, Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from foremend.wire import Details

OWN = Address(tenant="demo", device="printer-01")
OURS, THEIRS = SigningKey(Ed25519PrivateKey.generate()), SigningKey(Ed25519PrivateKey.generate())
NOW = 1_000_000


def pem(key: SigningKey) -> str:
    public = key.private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def command(number: int = 1, **changes: Any) -> Command:
    told: dict[str, Any] = {
        "id": f"c{number}",
        "tenant": "demo",
        "device": "printer-01",
        "counter": NOW + number,
        "kind": "home",
        "issued_ms": NOW,
        "expires_ms": NOW + 60_000,
    }
    return Command(**(told | changes))


def signed(body: bytes, key: SigningKey = OURS) -> bytes:
    return wire.encode(wire.Signed(kid=key.kid, sig=key.sign(body), body=body))


@dataclass
class Machine:
    """A source that can be commanded, and a device that can be resampled."""

    address: Address = OWN
    phase: int = int(Phase.IDLE)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    done: list[str] = field(default_factory=list)
    sampling: list[SamplingConfig] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    trusted: bool = True
    resend_s: float = 0.0

    @property
    def now_ms(self) -> int | None:
        return self.clock() if self.trusted else None

    @property
    def kinds(self) -> dict[str, frozenset[int]]:
        return {"home": frozenset({int(Phase.IDLE)}), "fail": frozenset()}

    async def run(self, kind: str, args: Details) -> Details:
        self.done.append(kind)
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        if kind == "fail":
            raise CommandFailed("it is stuck")
        return {"homed": True}

    def resample(self, sampling: SamplingConfig) -> None:
        self.sampling.append(sampling)

    def resend_after(self, seconds: float) -> None:
        self.resend_s = seconds


@dataclass
class Ear:
    """A downlink that runs, and what it left in the outbox."""

    downlink: Downlink
    outbox: DeviceOutbox

    def hear(self, told: Command, key: SigningKey = OURS) -> None:
        self.downlink.hear(Down.COMMAND, signed(wire.encode(told), key))

    async def said(self, count: int) -> list[tuple[str, str, str]]:
        """Wait for so many messages; give name, state and reason of each."""
        async with asyncio.timeout(10):
            while len(kept := await self.outbox.pending(None, 99)) < count:
                await self.outbox.moved()
        return [_told(message.kind, message.payload) for message in kept]


def _told(kind: Up, payload: bytes) -> tuple[str, str, str]:
    message = wire.decode_up(kind, payload)
    if isinstance(message, wire.Result):
        return message.command, message.state, message.reason
    assert isinstance(message, wire.Event)
    return message.code, message.severity, str(message.details.get("reason"))


@asynccontextmanager
async def running(
    machine: Machine,
    store: MemoryStore,
    *,
    keyring: Keyring | None = None,
    steady: Callable[[], float] = lambda: 0.0,
    begin: bool = True,
) -> AsyncIterator[Ear]:
    async with AsyncExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        file = await stack.enter_async_context(
            serving(store, executor=executor, grouping=Grouping(within_s=0.001))
        )
        outbox = file.device("printer-01")
        await outbox.begin(f"boot{len(store._devices)}", b"birth")
        twin = Twin(
            address=OWN,
            device=machine,
            sampling=SamplingConfig(),
            first_resend_s=30.0,
            channels=frozenset({"hotend"}),
            log=logging.getLogger("test-twin"),
        )
        downlink = Downlink(
            device=machine,
            outbox=outbox,
            keyring=keyring or Keyring([pem(OURS)]),
            able=[machine],
            twin=twin,
            kept=lambda: None,
            steady=steady,
        )
        task = asyncio.create_task(downlink.run())
        try:
            yield Ear(downlink, outbox)
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_machine_can_be_commanded(machine) -> None:
    assert isinstance(machine, Commandable)


async def test_a_signed_command_is_accepted_run_and_finished(machine, store) -> None:
    async with running(machine, store) as ear:
        ear.hear(command())
        assert await ear.said(2) == [("c1", "accepted", ""), ("c1", "finished", "")]
    assert machine.done == ["home"]


async def test_what_fails_says_why(machine, store) -> None:
    async with running(machine, store) as ear:
        ear.hear(command(kind="fail"))
        assert (await ear.said(2))[1] == ("c1", "failed", "it is stuck")


async def test_a_repeated_command_is_answered_again_and_run_once(machine, store) -> None:
    times = iter(range(100))
    async with running(machine, store, steady=lambda: float(2 * next(times))) as ear:
        ear.hear(command())
        await ear.said(2)
        ear.hear(command())
        assert (await ear.said(3))[2] == ("c1", "finished", "")
    assert machine.done == ["home"]


async def test_whoever_repeats_a_message_fills_no_outbox(machine, store) -> None:
    async with running(machine, store, steady=lambda: 0.0) as ear:
        ear.hear(command())
        await ear.said(2)
        for _ in range(10):
            ear.hear(command())
        ear.hear(command(2))
        said = await ear.said(5)
    assert [name for name, _, _ in said] == ["c1", "c1", "c1", "c2", "c2"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (command(device="printer-02"), "other_device"),
        (command(tenant="other"), "other_device"),
        (command(expires_ms=NOW), "expired"),
        (command(kind="explode"), "unknown_kind"),
        (command(interlock=(int(Phase.RUNNING),)), "forbidden_phase"),
    ],
)
async def test_what_may_not_be_is_refused_with_its_reason(machine, store, told, reason) -> None:
    async with running(machine, store) as ear:
        ear.hear(told)
        assert await ear.said(1) == [("c1", "refused", reason)]
    assert machine.done == []


async def test_a_phase_in_which_the_machine_itself_forbids_it_is_refused(machine, store) -> None:
    machine.phase = int(Phase.RUNNING)
    async with running(machine, store) as ear:
        ear.hear(command(interlock=(int(Phase.RUNNING),)))
        assert await ear.said(1) == [("c1", "refused", "forbidden_phase")]


async def test_a_lower_number_is_refused_after_a_higher_one(machine, store) -> None:
    async with running(machine, store) as ear:
        ear.hear(command(5))
        await ear.said(2)
        ear.hear(command(4))
        assert (await ear.said(3))[2] == ("c4", "refused", "passed")


def unsigned(kind: str) -> bytes:
    body = wire.encode(command())
    whole = {
        "tampered": wire.Signed(
            kid=OURS.kid, sig=OURS.sign(body), body=body.replace(b"home", b"fail")
        ),
        "foreign": wire.Signed(kid=THEIRS.kid, sig=THEIRS.sign(body), body=body),
        "disguised": wire.Signed(kid=OURS.kid, sig=THEIRS.sign(body), body=body),
        "short": wire.Signed(kid=OURS.kid, sig=b"", body=body),
    }
    return wire.encode(whole[kind]) if kind in whole else body


UNTRUSTED = {
    "tampered": "bad_signature",
    "foreign": "unknown_key",
    "disguised": "bad_signature",
    "short": "bad_signature",
    "bare": "unreadable",
}


@pytest.mark.parametrize(("kind", "reason"), UNTRUSTED.items())
async def test_nothing_unsigned_is_run(machine, store, kind, reason) -> None:
    async with running(machine, store) as ear:
        for topic in (Down.COMMAND, Down.CONFIG):
            ear.downlink.hear(topic, unsigned(kind))
        assert await ear.said(1) == [(UNSIGNED, "warning", reason)]
    assert machine.done == []


class Trusting(Keyring):
    """The guard taken out: whatever is in the envelope is believed."""

    def opened(self, payload: bytes) -> bytes:
        return wire.decode_signed(payload).body


@pytest.mark.parametrize("kind", ["tampered", "foreign", "disguised", "short"])
async def test_without_the_guard_the_same_messages_would_be_run(machine, store, kind) -> None:
    async with running(machine, store, keyring=Trusting([])) as ear:
        ear.downlink.hear(Down.COMMAND, unsigned(kind))
        await ear.said(2)
    assert machine.done != []


GARBAGE = wire.encode(wire.Signed(kid=OURS.kid, sig=b"none", body=b"{no JSON"))
COMPLAINT = "what was signed cannot be read"


@pytest.mark.parametrize(("keyring", "complains"), [(Keyring([pem(OURS)]), 0), (Trusting([]), 1)])
async def test_a_body_is_not_even_read_before_its_signature_holds(
    machine, store, caplog, keyring, complains
) -> None:
    async with running(machine, store, keyring=keyring) as ear:
        ear.downlink.hear(Down.COMMAND, GARBAGE)
        ear.hear(command())
        await ear.said(2)
    assert caplog.messages.count(COMPLAINT) == complains


@given(st.binary(max_size=400))
def test_whatever_comes_unsigned_is_refused(payload) -> None:
    with pytest.raises(Unsigned):
        Keyring([pem(OURS)]).opened(payload)


@pytest.mark.parametrize("kind", UNTRUSTED)
def test_a_keyring_opens_only_what_a_known_key_has_signed(kind) -> None:
    keyring = Keyring([pem(OURS)])
    assert keyring.opened(signed(b"body")) == b"body"
    with pytest.raises(Unsigned, match=UNTRUSTED[kind]):
        keyring.opened(unsigned(kind))


async def test_a_command_that_was_cut_short_is_not_run_again(machine, store) -> None:
    machine.hold = asyncio.Event()
    async with running(machine, store) as ear:
        ear.hear(command())
        assert await ear.said(1) == [("c1", "accepted", "")]
        await machine.begun.wait()

    async with running(machine, store) as again:
        assert (await again.said(2))[1] == ("c1", "failed", "interrupted")
        again.hear(command())
        assert (await again.said(3))[2] == ("c1", "failed", "interrupted")
    assert machine.done == ["home"]


async def test_the_highest_number_outlives_the_process(machine, store) -> None:
    async with running(machine, store) as ear:
        ear.hear(command(7))
        await ear.said(2)
    async with running(machine, store) as again:
        again.hear(command(6))
        assert (await again.said(3))[2] == ("c6", "refused", "passed")


async def test_after_a_loss_of_memory_nothing_that_was_issued_before_is_obeyed(
    machine, store
) -> None:
    async with running(machine, store) as ear:
        await ear.outbox.append(notes={LOST: b""})
    machine.clock.advance(1_000)
    async with running(machine, store) as again:
        again.hear(command(2))
        assert await again.said(1) == [("c2", "refused", "passed")]
        again.hear(command(1_001))
        await again.said(3)
    assert machine.done == ["home"]


async def test_a_second_command_waits_while_one_runs(machine, store) -> None:
    machine.hold = asyncio.Event()
    async with running(machine, store) as ear:
        ear.hear(command(1))
        await ear.said(1)
        ear.hear(command(2))
        await asyncio.sleep(0.02)
        machine.hold.set()
        await ear.said(2)
        ear.hear(command(2))
        said = await ear.said(4)
    assert [(name, state) for name, state, _ in said] == [
        ("c1", "accepted"),
        ("c1", "finished"),
        ("c2", "accepted"),
        ("c2", "finished"),
    ]


def config(version: int, **desired: Any) -> bytes:
    named = {name.replace("__", "."): value for name, value in desired.items()}
    body = wire.Config(
        tenant="demo", device="printer-01", version=version, issued_ms=NOW, desired=named
    )
    return signed(wire.encode(body))


async def test_a_configuration_is_applied_reported_and_outlives_the_process(machine, store) -> None:
    async with running(machine, store) as ear:
        ear.downlink.hear(
            Down.CONFIG, config(5, sampling__window_s=10, first_resend_s=7, colour="blue")
        )
        assert await ear.said(1) == [("config-5", "finished", "")]
        [message] = await ear.outbox.pending(None, 9)
    result = wire.decode_up(Up.RESULT, message.payload)
    assert isinstance(result, wire.Result)
    assert result.details == {
        "sampling.window_s": "applied",
        "first_resend_s": "applied",
        "colour": "unknown",
    }
    assert machine.resend_s == 7

    async with running(machine, store) as again:
        again.downlink.hear(Down.CONFIG, config(4, sampling__window_s=99))
        assert (await again.said(2))[1] == ("config-4", "refused", "passed")
    assert [s.window_s for s in machine.sampling] == [10, 10]


async def test_a_signed_configuration_is_no_command(machine, store) -> None:
    async with running(machine, store) as ear:
        ear.downlink.hear(Down.COMMAND, config(5))
        ear.downlink.hear(Down.CONFIG, signed(wire.encode(command())))
        ear.hear(command(2))
        assert await ear.said(2) == [("c2", "accepted", ""), ("c2", "finished", "")]
    assert machine.sampling == []
