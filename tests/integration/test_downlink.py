"""A signed command from the API's room to the device and its answer back, over real servers."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.rows import dict_row

from api import downlink
from api.downlink import Order
from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.mqtt_link import MqttConnector
from edge_agent.outbox.group import open_outbox
from edge_agent.source import Description, Frame, PushSource
from foremend import keys, wire
from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, connect, transaction
from foremend.errors import NotFound
from foremend.values import Phase
from foremend.wire import Address, Channel, Down
from ingest import app as ingest
from ingest.downlink import sealing
from stack.embedded.datadir import open_data_dir
from tests.gate_world import PATIENCE, TENANT, Device, Site, service, site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from foremend.keys import SigningKey
    from foremend.wire import Details

RUNNING, IDLE = int(Phase.RUNNING), int(Phase.IDLE)


class Printer(PushSource):
    """A device that can be told to home its axes, while it stands still."""

    def __init__(self) -> None:
        super().__init__(
            Description(
                channels=(Channel(name="hotend", unit="Cel"),),
                family="fdm_printer",
                model="Vela 2",
            )
        )
        self.homed = 0

    @property
    def kinds(self) -> dict[str, frozenset[int]]:
        return {"home": frozenset({IDLE})}

    async def run(self, kind: str, args: Details) -> Details:
        self.homed += 1
        return {"axes": args.get("axes", "xyz")}


class Place:
    """Broker, gate, courier and ingest, and the key that signs."""

    def __init__(self, running: Site, folder: Path) -> None:
        self.site = running
        self.key: SigningKey = keys.local_key(
            folder / "keys", folder / "keys" / "commands", keys.COMMANDS
        )
        self.pems = tuple(f.read_text() for f in (folder / "keys" / "commands").glob("*.pem"))

    def send(self, device: str, kind: str, **order: Any) -> str:
        told = Order(kind=kind, **({"expires_s": 60} | order))
        row = self.site.work(
            TENANT,
            lambda c: downlink.send(
                c, tenant=TENANT, device_id=self.id_of(device), order=told, asked_by="test"
            ),
        )
        return str(row["id"])

    async def settled(self, device: str, command: str) -> tuple[str, str]:
        """Wait until a command is settled; give its state and reason."""
        row = await self.until(
            lambda: self.command(device, command), lambda row: row["settled_at"] is not None
        )
        return row["state"], row["reason"]

    def command(self, device: str, command: str) -> dict[str, Any]:
        device_id = self.id_of(device)
        found = self.site.work(
            TENANT, lambda c: downlink.command(c, device_id=device_id, command_id=command)
        )
        return dict(found)

    async def until(self, look: Any, good: Any) -> Any:
        until = time.monotonic() + PATIENCE
        while not good(found := await asyncio.to_thread(look)):
            assert time.monotonic() < until, found
            await asyncio.sleep(0.02)
        return found

    def id_of(self, device: str) -> int:
        return int(self.rows("SELECT id FROM device WHERE name = %s", device)[0]["id"])

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        with connect(self.site.url, name="test") as connection:
            cursor = connection.cursor(row_factory=dict_row)
            with transaction(connection, tenant=EVERY_TENANT):
                return cursor.execute(sql, values or None).fetchall()

    def results(self, command: str) -> list[tuple[str, str]]:
        rows = self.rows(
            "SELECT state, reason FROM command_result WHERE command = %s ORDER BY boot_id, seq",
            command,
        )
        return [(row["state"], row["reason"]) for row in rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory, new_migrated) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("downlink") / "var"
    with (
        open_data_dir(folder) as home,
        site(home, new_migrated().app) as running,
        service(home, running.broker, running.url, ingest.run),
    ):
        yield Place(running, home.path)


@asynccontextmanager
async def speaking(
    place: Place, folder: Path, device: str, source: PushSource, phase: int = IDLE
) -> AsyncIterator[Agent]:
    """Run an agent that came in by credentials of its own, once ingest knows its device."""
    enrolled = await asyncio.to_thread(place.site.enrol, device)
    broker = BrokerConfig(host=place.site.broker.host, port=place.site.broker.device_port)
    config = AgentConfig(tenant=TENANT, device=device, broker=broker, command_keys=place.pems)
    connector = MqttConnector(broker, device, lambda: (enrolled.login, enrolled.secret))
    async with open_outbox(folder / "outbox.sqlite3", wall_ms) as file:
        agent = Agent(config, source, file.device(device), wall_ms, connector=connector)
        stop = asyncio.Event()
        task = asyncio.create_task(agent.run(stop))
        await source.push(Frame(ts_ms=wall_ms(), values=(21.0,), phase=phase))
        await place.until(
            lambda: place.rows("SELECT state FROM device WHERE name = %s", device),
            lambda rows: rows and rows[0]["state"] == "online",
        )
        yield agent
        stop.set()
        await task


async def test_a_command_is_carried_obeyed_and_answered(place, tmp_path) -> None:
    source = Printer()
    async with speaking(place, tmp_path, "printer-01", source):
        began = time.monotonic()
        sent = await asyncio.to_thread(place.send, "printer-01", "home", args={"axes": "xy"})
        assert await place.settled("printer-01", sent) == ("finished", "")
        assert time.monotonic() - began < PATIENCE

    assert source.homed == 1
    assert place.command("printer-01", sent)["details"] == {"axes": "xy"}
    assert place.results(sent)[:2] == [("accepted", ""), ("finished", "")]


@pytest.mark.parametrize(
    ("kind", "order", "phase", "outcome"),
    [
        ("explode", {}, IDLE, ("refused", "unknown_kind")),
        ("home", {}, RUNNING, ("refused", "forbidden_phase")),
        ("burst", {"interlock": (IDLE,)}, RUNNING, ("refused", "forbidden_phase")),
        ("report", {}, RUNNING, ("finished", "")),
        ("burst", {"args": {"channel": "nozzle"}}, IDLE, ("failed", "the device has no channel")),
    ],
)
async def test_each_command_has_its_answer(place, tmp_path, kind, order, phase, outcome) -> None:
    source = Printer()
    async with speaking(place, tmp_path, "printer-02", source, phase):
        sent = await asyncio.to_thread(lambda: place.send("printer-02", kind, **order))
        state, reason = await place.settled("printer-02", sent)
    assert state == outcome[0]
    assert reason.startswith(outcome[1])
    assert source.homed == 0


def order_for(place: Place, device: str, number: int, **changes: Any) -> wire.Command:
    told: dict[str, Any] = {
        "id": f"x{number}",
        "tenant": TENANT,
        "device": device,
        "counter": wall_ms() + number,
        "kind": "home",
        "issued_ms": wall_ms(),
        "expires_ms": wall_ms() + 60_000,
    }
    return wire.Command(**(told | changes))


async def test_a_forger_who_has_the_broker_moves_nothing(place, tmp_path) -> None:
    """Whoever speaks with the services' own login still cannot make a device do anything."""
    source, own = Printer(), Address(tenant=TENANT, device="printer-03")
    voice = Device(place.site.broker, place.site.broker.services, "forger")
    voice._address = (place.site.broker.host, place.site.broker.port)
    body = wire.encode(order_for(place, "printer-03", 1))
    foreign = keys.SigningKey(keys.private_key(tmp_path / "foreign.pem"))
    forged = [
        body,
        sealing.signed(body, foreign),
        wire.encode(wire.Signed(kid=place.key.kid, sig=foreign.sign(body), body=body)),
        wire.encode(
            wire.Signed(
                kid=place.key.kid, sig=place.key.sign(body), body=body.replace(b"x1", b"x9")
            )
        ),
    ]
    async with speaking(place, tmp_path, "printer-03", source):
        assert await asyncio.to_thread(voice.come_in)
        for payload in forged:
            await asyncio.to_thread(voice.say, own.down(Down.COMMAND), payload)
        events = await place.until(
            lambda: place.rows(
                "SELECT details->>'reason' AS reason FROM event "
                "JOIN device d ON d.id = device_id "
                "WHERE d.name = 'printer-03' AND code = 'downlink_unsigned'"
            ),
            lambda rows: len(rows) >= 3,
        )
        sent = await asyncio.to_thread(place.send, "printer-03", "home")
        assert await place.settled("printer-03", sent) == ("finished", "")
    voice.leave()

    assert {row["reason"] for row in events} == {"unreadable", "unknown_key", "bad_signature"}
    assert source.homed == 1


async def test_signed_orders_are_refused_where_they_do_not_fit(place, tmp_path) -> None:
    source, own = Printer(), Address(tenant=TENANT, device="printer-04")
    voice = Device(place.site.broker, place.site.broker.services, "voice")
    voice._address = (place.site.broker.host, place.site.broker.port)
    orders = {
        "x1": (order_for(place, "printer-04", 1), ("accepted", "")),
        "x2": (order_for(place, "printer-99", 2), ("refused", "other_device")),
        "x3": (order_for(place, "printer-04", 3, expires_ms=wall_ms()), ("refused", "expired")),
        "x0": (order_for(place, "printer-04", 0, counter=7), ("refused", "passed")),
    }
    async with speaking(place, tmp_path, "printer-04", source):
        assert await asyncio.to_thread(voice.come_in)
        for order, _ in orders.values():
            payload = sealing.signed(wire.encode(order), place.key)
            await asyncio.to_thread(voice.say, own.down(Down.COMMAND), payload)
            await place.until(lambda name=order.id: place.results(name), lambda found: found)
        # The very bytes that were obeyed, replayed: answered, and not run again.
        replayed = sealing.signed(wire.encode(orders["x1"][0]), place.key)
        await asyncio.sleep(1.1)
        await asyncio.to_thread(voice.say, own.down(Down.COMMAND), replayed)
        await place.until(lambda: place.results("x1"), lambda found: len(found) >= 3)
    voice.leave()

    assert {name: place.results(name)[0] for name in orders} == {
        name: answer for name, (_, answer) in orders.items()
    }
    assert source.homed == 1


async def test_a_command_waits_for_a_device_that_is_away_and_is_run_once(place, tmp_path) -> None:
    async with speaking(place, tmp_path, "printer-05", Printer()):
        pass
    sent = await asyncio.to_thread(place.send, "printer-05", "home")
    await place.until(lambda: place.command("printer-05", sent), lambda row: row["state"] == "sent")
    source = Printer()
    async with speaking(place, tmp_path, "printer-05", source):
        assert await place.settled("printer-05", sent) == ("finished", "")
    assert source.homed == 1


async def test_a_command_that_nobody_answers_expires(place, tmp_path) -> None:
    async with speaking(place, tmp_path, "printer-06", Printer()):
        pass
    sent = await asyncio.to_thread(lambda: place.send("printer-06", "home", expires_s=1))
    assert await place.settled("printer-06", sent) == ("expired", "no_answer")


async def test_a_device_cannot_answer_for_another(place, tmp_path) -> None:
    victim = Address(tenant=TENANT, device="printer-07")
    async with speaking(place, tmp_path, "printer-07", Printer()):
        pass
    sent = await asyncio.to_thread(lambda: place.send("printer-07", "home", expires_s=2))
    (tmp_path / "other").mkdir()
    async with speaking(place, tmp_path / "other", "printer-08", Printer()) as other:
        forged = wire.Result(
            boot=other.session.boot, seq=10_000, ts_ms=wall_ms(), command=sent, state="finished"
        )
        voice = Device(place.site.broker, place.site.broker.services, "liar")
        voice._address = (place.site.broker.host, place.site.broker.port)
        assert await asyncio.to_thread(voice.come_in)
        topic = Address(tenant=TENANT, device="printer-08").up(wire.Up.RESULT)
        await asyncio.to_thread(voice.say, topic, wire.encode(forged))
        await place.until(lambda: place.results(sent), lambda found: found)
        voice.leave()
    assert victim.device != "printer-08"
    assert await place.settled("printer-07", sent) == ("expired", "no_answer")


async def test_what_is_desired_is_applied_and_reported_also_after_an_absence(
    place, tmp_path
) -> None:
    async with speaking(place, tmp_path, "printer-09", Printer()):
        pass
    device_id = place.id_of("printer-09")
    desired = {"sampling.hotend.report": "change", "colour": "blue"}
    await asyncio.to_thread(
        place.site.work,
        TENANT,
        lambda c: downlink.desire(
            c, tenant=TENANT, device_id=device_id, desired=desired, asked_by="test"
        ),
    )
    async with speaking(place, tmp_path, "printer-09", Printer()):
        twin = await place.until(
            lambda: place.site.work(TENANT, lambda c: downlink.twin(c, device_id=device_id)),
            lambda row: row["reported_version"] == row["version"],
        )
    assert twin["reported"] == {"sampling.hotend.report": "applied", "colour": "unknown"}


def test_another_tenant_sees_no_command(place) -> None:
    with pytest.raises(NotFound):
        place.site.work(
            "other",
            lambda c: downlink.send(
                c,
                tenant="other",
                device_id=place.id_of("printer-01"),
                order=Order(kind="home", expires_s=60),
                asked_by="test",
            ),
        )
