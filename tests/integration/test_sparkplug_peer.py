"""Edge nodes that others wrote, over the real broker, into the real database."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr

from foremend.clock import wall_ms
from foremend.settings import Settings
from ingest.sparkplug.app import front_door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import BrokerAddress, DatabaseUrls

ROOT = Path(__file__).parents[2]
HOME = Path(os.environ.get("FOREMEND_TEST_SPARKPLUG", ROOT / ".venv" / "foreign-sparkplug"))
PYTHON = HOME / "bin" / "python"
PATIENCE_S = 30
TEMP = {"name": "Motor/Temp", "alias": 1, "datatype": "DOUBLE"}
SPEED = {"name": "Motor/Speed", "alias": 2, "datatype": "INT16"}
MODEL = {"name": "Properties/Hardware Model", "alias": 3, "datatype": "STRING"}
CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name LIKE 'foremend-sparkplug%' AND datname = current_database()
"""

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"pysparkplug is not installed in {HOME}: make test installs it"
)


class Peer:
    """The foreign edge node, in its own process."""

    def __init__(self, kind: str, broker: BrokerAddress, group: str, node: str) -> None:
        self.group, self.node = group, node
        self.ncmds: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        login = (broker.host, str(broker.port), broker.user, broker.password)
        self.process = subprocess.Popen(
            [PYTHON, ROOT / "tests/foreign/sparkplug_peer.py", kind, *login, group, node],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._done.get(timeout=PATIENCE_S) == "start"

    def order(self, do: str, **arguments: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
        self.process.stdin.flush()
        self._done.get(timeout=PATIENCE_S)

    def say(self, kind: str, seq: int | None, *metrics: dict, **arguments: object) -> None:
        now = wall_ms()
        told = [{"ts": now} | metric for metric in metrics]
        self.order("say", **({"kind": kind, "seq": seq, "ts": now, "metrics": told} | arguments))

    def births(self, bd_seq: int = 0, temp: float = 20.5, speed: int = -3) -> None:
        bd = {"name": "bdSeq", "datatype": "INT64", "value": bd_seq}
        self.say("NBIRTH", 0, bd)
        self.say(
            "DBIRTH",
            1,
            TEMP | {"value": temp},
            SPEED | {"value": speed},
            MODEL | {"value": "X-100"},
            device="pump",
        )

    def data(self, seq: int, alias: int, value: float, **metric: object) -> None:
        datatype = {1: "DOUBLE", 2: "INT16"}.get(alias, "DOUBLE")
        told = {"name": None, "alias": alias, "datatype": datatype, "value": value} | metric
        self.say("DDATA", seq, told, device="pump", dtypes=False)

    def asked_for_births(self) -> None:
        heard = self.ncmds.get(timeout=PATIENCE_S)
        assert heard["metrics"] == {"Node Control/Rebirth": True}

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "heard" in told:
                self.ncmds.put(told)
            else:
                self._done.put(told["did"])


class Shown:
    """What stands in the database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(self.url, options="-c foremend.tenant=*") as connection:
            return connection.execute(query).fetchall()

    def until(self, query: str, fits: Callable[[list[tuple]], bool]) -> list[tuple]:
        deadline = time.monotonic() + PATIENCE_S
        while not fits(found := self.rows(query)):
            assert time.monotonic() < deadline, (query, found)
            time.sleep(0.02)
        return found

    def frames(self, count: int) -> list[tuple]:
        """Wait for so many frames; gives (values, quality) in the order of their instants."""
        query = "SELECT vals, quality FROM frame ORDER BY ts, boot_id, seq"
        return self.until(query, lambda rows: len(rows) >= count)


@pytest.fixture
def group() -> str:
    return f"plant-{uuid4().hex[:8]}"


@pytest.fixture
def shown(migrated_urls: DatabaseUrls) -> Shown:
    return Shown(migrated_urls.owner)


@pytest.fixture
def peer(broker: BrokerAddress, group: str) -> Iterator[Peer]:
    with running("peer", broker, group) as one:
        yield one


@contextmanager
def running(kind: str, broker: BrokerAddress, group: str, node: str = "press") -> Iterator[Peer]:
    one = Peer(kind, broker, group, node)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def settings(broker: BrokerAddress, migrated_urls: DatabaseUrls, group: str) -> Settings:
    return Settings(
        database_url=SecretStr(migrated_urls.app),
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.user,
        broker_password=SecretStr(broker.password),
        sparkplug=True,
        sparkplug_host_id=group,
        sparkplug_groups={group: "demo"},
        sparkplug_reorder_s=0.2,
    )


@pytest.fixture
def state(broker: BrokerAddress, group: str) -> Iterator[Watcher]:
    with Watcher(broker, f"spBv1.0/STATE/{group}") as watcher:
        yield watcher


@pytest.fixture
def serve(settings: Settings, state: Watcher) -> Callable:
    """Start the front door as ingest does; it serves while the block runs."""

    @contextmanager
    def serving() -> Iterator[None]:
        stop = threading.Event()
        with front_door(settings, stop):
            state.until(online=True)
            yield
            assert not stop.is_set(), "the front door died"
            stop.set()
        state.until(online=False)

    return serving


class Watcher:
    """Hears what the host application says of itself."""

    def __init__(self, broker: BrokerAddress, topic: str) -> None:
        self._states: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=uuid4().hex)
        self._client.username_pw_set(broker.user, broker.password)
        self._client.on_message = lambda _c, _d, m: self._states.put(json.loads(m.payload))
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.connect(broker.host, broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def silent(self, *, for_s: float) -> bool:
        try:
            self._states.get(timeout=for_s)
        except queue.Empty:
            return True
        return False

    def until(self, *, online: bool) -> None:
        while self._states.get(timeout=PATIENCE_S)["online"] is not online:
            pass


def test_births_aliases_and_exceptions_become_frames(serve, peer, shown, group) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.births()
        peer.data(2, 1, 21.0)
        peer.data(3, 2, -40)
        # Channels stand in the order of their names: Speed, then Temp.
        assert shown.frames(3) == [([-3, 20.5], 0), ([-3, 21.0], 0), ([-40, 21.0], 0)]
        device = shown.rows("SELECT tenant, name, model, state, timeline FROM device")
        assert device == [("demo", f"{group}--press--pump", "X-100", "online", "live")]
        channels = shown.rows(
            "SELECT jsonb_path_query_array(channels, '$.name') FROM channel_schema"
        )
        assert channels == [(["Motor--Speed", "Motor--Temp"],)]
        assert shown.rows("SELECT agent FROM boot") == [("sparkplug-b",)]
        assert shown.rows("SELECT got::text FROM receipt") == [("{[0,3)}",)]


def test_the_librarys_own_edge_node_is_served_and_its_leave_is_a_death(
    serve, broker, group, shown
) -> None:
    with serve(), running("library", broker, group) as library:
        library.order("connect")
        shown.frames(2)
        library.order("update", value=23.5)
        shown.until("SELECT vals FROM frame", lambda rows: ([23.5],) in rows)
        names = shown.rows("SELECT name FROM device ORDER BY name")
        assert names == [(f"{group}--press",), (f"{group}--press--pump",)]


def test_a_killed_edge_node_is_offline_and_its_channels_are_unknown(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=4)
        peer.births(bd_seq=4)
        shown.frames(1)
        peer.process.kill()
        shown.until("SELECT state FROM device", lambda rows: rows == [("offline",)])
        assert shown.frames(2)[-1] == ([None, None], 1)


def test_the_death_of_an_earlier_connection_changes_nothing(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=4)
        peer.births(bd_seq=4)
        peer.say("NDEATH", None, {"name": "bdSeq", "datatype": "INT64", "value": 3})
        peer.data(2, 1, 21.0)
        shown.frames(2)
        assert shown.rows("SELECT state FROM device") == [("online",)]


def test_a_device_that_dies_alone_is_offline(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.births()
        peer.say("DDEATH", 2, device="pump")
        shown.until("SELECT state FROM device", lambda rows: rows == [("offline",)])


def test_a_gap_is_recorded_and_the_edge_node_asked_for_its_births(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.births()
        peer.data(2, 1, 21.0)
        peer.data(5, 1, 99.0)
        peer.asked_for_births()
        peer.births(temp=22.0)
        peer.data(2, 1, 23.0)
        frames = shown.frames(5)
        assert [values[1] for values, _ in frames] == [20.5, 21.0, None, 22.0, 23.0]
        assert [quality for _, quality in frames] == [0, 0, 1, 0, 0]
        assert shown.rows("SELECT lost::text, reason FROM gap") == [("[4,7)", "sequence_gap")]
        assert shown.rows("SELECT code, severity FROM event") == [("gap", "warning")]


def test_data_before_a_birth_is_not_stored_and_asks_for_it(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.data(7, 1, 99.0)
        peer.asked_for_births()
        time.sleep(0.3)  # until it counts as lost: it must not be taken up by the birth
        peer.births()
        assert shown.frames(1) == [([-3, 20.5], 0)]
        shown.until("SELECT details->>'reason' FROM event", lambda rows: rows == [("no_birth",)])


def test_a_birth_that_comes_after_its_data_explains_it(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.say("NBIRTH", 0, {"name": "bdSeq", "datatype": "INT64", "value": 0})
        peer.data(2, 1, 21.0)
        peer.say("DBIRTH", 1, TEMP | {"value": 20.5}, device="pump")
        frames = shown.frames(2)
        assert sorted(values[0] for values, _ in frames) == [20.5, 21.0]
        assert shown.rows("SELECT count(*) FROM gap") == [(0,)]


def test_an_alias_that_means_another_metric_now_is_not_misfiled(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.births()
        peer.data(2, 1, 21.0)
        swapped = (TEMP | {"alias": 2, "value": 30.0}, SPEED | {"alias": 1, "value": 7})
        peer.say("DBIRTH", 3, *swapped, device="pump")
        peer.say(
            "DDATA",
            4,
            {"name": None, "alias": 2, "datatype": "DOUBLE", "value": 31.0},
            device="pump",
            dtypes=False,
        )
        frames = shown.frames(4)
        assert [values for values, _ in frames] == [[-3, 20.5], [-3, 21.0], [7, 30.0], [7, 31.0]]


def test_historical_values_keep_their_time_and_are_not_live(serve, peer, shown) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.births()
        shown.frames(1)
        past = wall_ms() - 3 * 86_400_000
        peer.data(2, 1, 11.0, ts=past, historical=True)
        assert shown.frames(2) == [([None, 11.0], 1), ([-3, 20.5], 0)]
        peer.data(3, 2, -4)
        assert shown.frames(3)[-1] == ([-4, 20.5], 0)
        assert shown.rows("SELECT now() - last_frame_at < '1 min' FROM device") == [(True,)]
        assert shown.rows("SELECT extract(epoch FROM min(ts)) * 1000 FROM frame") == [(past,)]


def test_after_a_restart_births_are_asked_for_and_nothing_is_misfiled(serve, peer, shown) -> None:
    peer.order("connect", bd_seq=0)
    with serve():
        peer.births()
        shown.frames(1)
    # What it leaves behind says that from here on nothing is known.
    assert shown.frames(2)[-1] == ([None, None], 1)
    with serve():
        peer.asked_for_births()
        shown.until("SELECT state FROM device", lambda rows: rows == [("unknown",)])
        peer.data(2, 1, 99.0)
        peer.births(temp=25.0)
        frames = shown.frames(3)
        shown.until("SELECT state FROM device", lambda rows: rows == [("online",)])
        assert [values for values, _ in frames] == [[-3, 20.5], [None, None], [-3, 25.0]]
        # Told twice: where the one session breaks off, and where the next one begins.
        reasons = shown.rows("SELECT details->>'reason' FROM event")
        assert reasons == [("not_listening",)] * 2


def test_without_the_database_it_is_away_and_then_asks_for_births(
    serve, peer, shown, state, postgres_server
) -> None:
    with serve():
        peer.order("connect", bd_seq=0)
        peer.births()
        shown.frames(1)
        Shown(postgres_server.url(shown.url.rpartition("/")[2])).rows(CUT_OFF)
        peer.data(2, 1, 21.0)
        state.until(online=False)
        state.until(online=True)
        peer.asked_for_births()
        peer.births(temp=25.0)
        frames = shown.frames(4)
    assert [values for values, _ in frames] == [[-3, 20.5], [-3, 21.0], [None, None], [-3, 25.0]]


def test_a_second_process_waits_for_the_place(serve, settings, broker, group) -> None:
    stop = threading.Event()
    other = settings.model_copy(update={"sparkplug_host_id": f"{group}-2"})
    with Watcher(broker, f"spBv1.0/STATE/{group}-2") as second:
        with serve():
            door = front_door(other, stop)
            door.__enter__()
            assert second.silent(for_s=0.5)
        second.until(online=True)
        door.__exit__(None, None, None)


def test_what_cannot_be_read_is_set_aside_with_its_reason(serve, broker, shown, group) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=uuid4().hex)
    client.username_pw_set(broker.user, broker.password)
    with serve():
        client.connect(broker.host, broker.port)
        client.loop_start()
        client.publish(f"spBv1.0/{group}/NDATA/press", b"\xff\xff").wait_for_publish(5)
        client.publish("spBv1.0/nobodys/NDATA/press", b"").wait_for_publish(5)
        shown.until(
            "SELECT reason FROM quarantine ORDER BY reason",
            lambda rows: rows == [("undecodable",), ("unknown_group",)],
        )
        client.disconnect()
        client.loop_stop()
