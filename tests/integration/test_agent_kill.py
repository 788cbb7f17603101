"""An outbox whose process is killed at any line of ours keeps all that it had confirmed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = '''
"""Kill a child at every nth line that it runs of the agent's; print what was lost: nothing."""
import json, os, shutil, signal, sys, tempfile
from pathlib import Path
from edge_agent.outbox.eviction import Bounds
from edge_agent.framing import data_draft, event_draft
from edge_agent.outbox.heldtime import MachineStart, MachineTime
from edge_agent.messages import Settlement
from edge_agent.source import Frame, Happening
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.outbox.store import Append
from foremend import wire
from foremend.clock import ManualClock

NOW = ManualClock(10**6)
BOUNDS = Bounds(max_bytes=2500, max_age_ms=500_000)
SCHEMA = wire.schema_hash(())
BIRTH = wire.encode(wire.Birth(boot="b", boot_ms=0, clock="held", schema=SCHEMA, channels=(),
                               family="f", model="m"))

def live(path, confirm):
    """Append, settle, refuse, evict and date; confirm each number once it is kept."""
    store = SqliteStore.open(path, NOW)
    store.begin("d", "boot1", BIRTH, MachineTime(machine="m", mono_ms=0))
    for n in range(6):
        drafts = (data_draft([Frame(ts_ms=NOW() + n, values=(float(n),) * 9)], "s", undated=True),
                  event_draft(Happening(ts_ms=NOW() + n, code="E"), undated=True))
        store.commit([Append(device="d", bounds=BOUNDS, drafts=drafts)])
        confirm(store.newest("d").seq)
        if n == 2:
            store.date("d", MachineStart(machine="m", utc_ms=0))
            store.settle("d", Settlement(boot="boot1", spans=((0, 0),)))
            key = store.pending("d", None, 1)[0].key
            store.settle("d", Settlement(refused=((key, "invalid"),)))
            confirm(store.newest("d").seq)
    store.close()

def accounted(path):
    """Every number that is kept, was settled, or is named by a gap; kept as a later start does."""
    store = SqliteStore.open(path, NOW)
    store.begin("d", "boot2", BIRTH)
    while store.date("d", MachineStart(machine="m", utc_ms=0)).messages:
        pass
    found = {0}
    for message in store.pending("d", None, 10**6):
        if message.boot == "boot1":
            found.add(message.key.seq)
        event = message.kind is wire.Up.EVENT and wire.decode_up(message.kind, message.payload)
        if event and event.code == "gap" and event.details.get("boot") == "boot1":
            found |= set(range(event.details["first"], event.details["last"] + 1))
    aside = store.set_aside
    store.close()
    assert aside is None, "a kill must not damage the file"
    return found

def child(path, pipe, line):
    left = [line]
    def trace(frame, event, arg):
        if "edge_agent" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    live(path, lambda seq: os.write(pipe, b"%d " % seq))
    sys.settrace(None)
    os.write(pipe, b"end ")
    os._exit(0)

def die_at(line):
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        child(folder / "o.db", writing, line)
    os.close(writing)
    said = os.fdopen(reading, "rb").read().split()
    os.waitpid(pid, 0)
    ended = said[-1:] == [b"end"]
    confirmed = max([int(n) for n in said if n != b"end"], default=-1)
    lost = set(range(confirmed + 1)) - accounted(folder / "o.db")
    shutil.rmtree(folder)
    return ended, sorted(lost)

line, deaths, lost = 0, 0, []
while True:
    ended, gone = die_at(line)
    lost += [(line, gone)] if gone else []
    if ended:
        break
    deaths += 1
    line += int(sys.argv[2])
print(json.dumps({"deaths": deaths, "lost": lost}))
'''


def test_killed_at_any_line_it_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    place = "/dev/shm" if Path("/dev/shm").is_dir() else str(tmp_path)
    step = 37  # of some thousands of lines, and coprime to the loops in them
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, place, str(step)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["lost"] == []
    assert found["deaths"] > 50
