"""The ledger of a drill: what was generated, kept and acknowledged, written as it happens.

Each line is one `write` to a file opened for appending, so that a kill -9 of the writer loses
nothing that it had written; the machine itself stays up in a drill, hence no fsync.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

Reading = tuple[str, int]
"""A device and the number of one of its readings or happenings; the number is used once."""
Message = tuple[str, str, int]
"""Device, boot and seq."""


class Generated(Struct, frozen=True, kw_only=True, tag="generated"):
    """A reading exists; written before the agent sees it."""

    device: str
    number: int
    hash: str


class Formed(Struct, frozen=True, kw_only=True, tag="formed"):
    """A message got its identity and its final bytes, before it is on the agent's disk."""

    device: str
    boot: str
    seq: int
    hash: str
    numbers: tuple[int, ...]


class Undone(Struct, frozen=True, kw_only=True, tag="undone"):
    """A message was formed and not kept: its number may be given to another."""

    device: str
    boot: str
    seq: int
    hash: str


class Kept(Struct, frozen=True, kw_only=True, tag="kept"):
    """The agent's disk has these messages: from here on nothing may lose them in silence."""

    device: str
    boot: str
    seqs: tuple[int, ...]


class Acked(Struct, frozen=True, kw_only=True, tag="acked"):
    """The agent was told that these are committed; written before it deletes them."""

    device: str
    boot: str
    spans: tuple[tuple[int, int], ...]
    """Both ends inclusive."""


Line = Generated | Formed | Undone | Kept | Acked
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Line)


class LedgerWriter:
    """Appends to a ledger; several processes may, one after the other."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, line: Line) -> None:
        """Append one line at once."""
        os.write(self._file, _ENCODER.encode(line) + b"\n")


@dataclass(slots=True)
class Ledger:
    """What a ledger says so far; `read` takes in what was added since."""

    path: Path
    generated: dict[Reading, str] = field(default_factory=dict)
    formed: dict[Message, Formed] = field(default_factory=dict)
    kept: set[Message] = field(default_factory=set)
    acked: set[Message] = field(default_factory=set)
    newest: dict[str, int] = field(default_factory=dict)
    """The highest number that each device has generated."""
    newest_acked: dict[str, int] = field(default_factory=dict)
    """The highest number of each device that was acknowledged."""
    _read_to: int = 0
    _tops: dict[tuple[str, str], int] = field(default_factory=dict)
    """The highest seq formed in each boot."""
    _upto: dict[tuple[str, str], int] = field(default_factory=dict)
    """How far each boot's cumulative number has been followed."""

    def read(self) -> None:
        """Take in every whole line that was added."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            self._take(_DECODER.decode(line))

    def _take(self, line: Line) -> None:
        match line:
            case Generated():
                self.generated[line.device, line.number] = line.hash
                self.newest[line.device] = max(line.number, self.newest.get(line.device, 0))
            case Formed():
                self.formed[line.device, line.boot, line.seq] = line
                boot = (line.device, line.boot)
                self._tops[boot] = max(line.seq, self._tops.get(boot, -1))
            case Undone():
                message = (line.device, line.boot, line.seq)
                if message in self.formed and self.formed[message].hash == line.hash:
                    del self.formed[message]
            case Kept():
                self.kept |= {(line.device, line.boot, seq) for seq in line.seqs}
            case Acked():
                self._acknowledge(line)

    def _acknowledge(self, line: Acked) -> None:
        boot = (line.device, line.boot)
        top = self._tops.get(boot, -1)
        for first, last in line.spans:
            for seq in range(max(first, self._upto.get(boot, 0)), min(last, top) + 1):
                self._acknowledge_one((*boot, seq))
            if first == 0:
                self._upto[boot] = max(min(last, top), self._upto.get(boot, 0))

    def _acknowledge_one(self, message: Message) -> None:
        if message in self.acked or message not in self.formed:
            return
        self.acked.add(message)
        device, highest = message[0], max(self.formed[message].numbers, default=0)
        self.newest_acked[device] = max(highest, self.newest_acked.get(device, 0))
