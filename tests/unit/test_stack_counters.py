"""What the fleet says of itself is added up over one run's processes, and no other's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stack.counters import Tally

if TYPE_CHECKING:
    from pathlib import Path


def say(file: Path, boot: str, sent: int, acked: int, late: int = 0) -> None:
    counted = {"frames_sent": sent, "frames_acked": acked, "frames_acked_late": late}
    told = {"now_ms": 0, "boots": {"printer-01": boot}, "counters": counted}
    file.write_text(json.dumps(told))


def test_what_an_earlier_run_left_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "counters.json"
    say(file, "b1", 100, 100)
    tally = Tally(file)
    tally.look()

    assert (tally.boots, tally.frames_sent, tally.frames_acked) == ([], 0, 0)


def test_frames_of_an_earlier_run_that_are_acknowledged_late_do_not_count(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "counters.json")
    say(tally.file, "b1", 100, 130, late=40)
    tally.look()

    assert (tally.frames_sent, tally.frames_acked, tally.killed) == (100, 90, False)


def test_a_killed_process_and_the_next_are_added_up(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "counters.json")
    for sent, acked in ((50, 40), (100, 80)):
        say(tally.file, "b1", sent, acked)
        tally.look()
    say(tally.file, "b2", 60, 80, late=20)
    tally.look()

    assert tally.boots == ["b1", "b2"]
    assert (tally.frames_sent, tally.frames_acked, tally.killed) == (160, 160, True)
