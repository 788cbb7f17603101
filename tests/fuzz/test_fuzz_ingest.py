"""A bounded run of the fuzzer, in a process of its own: no crash, no stall, no growth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foremend import wire

TARGET = Path(__file__).with_name("fuzz_ingest.py")
RUNS = 20_000
STALL_S = 5


def seeds(folder: Path) -> None:
    channels = (wire.Channel(name="temp", unit="Cel"),)
    schema = wire.schema_hash(channels)
    frames = wire.Frames(
        t0_ms=1_767_225_600_000,
        offset_ms=[0, 5],
        phase=[3, 3],
        quality=[0, 0],
        values=[[1.0, None]],
    )
    messages = [
        (
            0,
            wire.Birth(
                boot="b",
                boot_ms=1_767_225_600_000,
                schema=schema,
                channels=channels,
                family="f",
                model="m",
                timeline="sim:z",
            ),
        ),
        (1, wire.Data(boot="b", seq=0, schema=schema, frames=frames)),
        (2, wire.Event(boot="b", seq=1, ts_ms=0, code="gap", details={"first": 0, "last": 3})),
        (3, wire.Status(boot="b", state="online", ts_ms=0)),
        (4, wire.Result(boot="b", seq=2, ts_ms=0, command="c", state="accepted")),
    ]
    for kind, message in messages:
        for packed in (False, True):
            name = folder / f"{kind}-{packed}"
            name.write_bytes(bytes((kind,)) + wire.encode(message, packed=packed))


def test_no_input_crashes_stalls_or_grows_ingest(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python or platform")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    seeds(corpus)
    options = [f"-runs={RUNS}", f"-timeout={STALL_S}", "-max_len=4096", "-seed=7", "-verbosity=0"]
    done = subprocess.run(
        [sys.executable, str(TARGET), *options, str(corpus)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TARGET.parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
