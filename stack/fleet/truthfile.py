"""The truth about faults, in a file apart: no process that scores ever opens it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from foremend.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from simulators.steps import Truth

NEWS_MS = HOUR_MS // 2
"""A due time that moved by less than this is not written again."""


class TruthFile:
    """Appends one line per fault and change; of a fault's lines the last counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: dict[tuple[str, str, int], Truth] = {}

    def note(self, truths: Iterable[Truth]) -> None:
        """Write what is new."""
        news = [truth for truth in truths if self._is_news(truth)]
        if news:
            with self._path.open("ab") as sink:
                sink.writelines(msgspec.json.encode(asdict(t)) + b"\n" for t in news)
        self._told |= {_key(truth): truth for truth in news}

    def _is_news(self, truth: Truth) -> bool:
        told = self._told.get(_key(truth))
        if told is None:
            return True
        ended = (told.failed_ms, told.repaired_ms) != (truth.failed_ms, truth.repaired_ms)
        return ended or abs(told.due_ms - truth.due_ms) >= NEWS_MS


def _key(truth: Truth) -> tuple[str, str, int]:
    return (truth.device, truth.component, truth.onset_ms)
