"""The online feature state of one cohort."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from foremend.errors import ForemendError
from models.features import record
from models.features.spec import HOUR_MS, RING, SHORT, Phase, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from models.features.spec import FeatureSpec

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

MAX_BACKFILL = 2 * RING
"""Boundaries for which rows are still made after a silence; older ones are past deciding."""
_HEADER = struct.Struct("<4sI")
_MAGIC = b"FMF1"


class SnapshotMismatch(ForemendError):
    """This snapshot belongs to another cohort layout: replay the input log instead."""


class FeatureState:
    """Feature records of `devices` devices of one cohort; see the package for its use.

    >>> spec = FeatureSpec(family="pump", channels=("flow",), components=("seal",), codes=())
    >>> state = FeatureState(spec, devices=1)
    >>> _ = state.observe_frames([0], [1_000], [0], [[2.0]])
    >>> rows = state.observe_frames([0], [HOUR_MS + 1], [0], [[3.0]])
    >>> int(rows.ts_ms[0]) == HOUR_MS, float(rows.values[0, 0])
    (True, 2.0)
    """

    def __init__(self, spec: FeatureSpec, devices: int = 0) -> None:
        self.spec = spec
        self._records = record.blank(spec, devices)

    @property
    def devices(self) -> int:
        """Devices there is room for."""
        return len(self._records)

    def grow(self, devices: int) -> None:
        """Make room for `devices` devices in all."""
        if devices > self.devices:
            fresh = record.blank(self.spec, devices - self.devices)
            self._records = np.concatenate([self._records, fresh])

    def observe_frames(
        self,
        device: ArrayLike,
        ts_ms: ArrayLike,
        phase: ArrayLike,
        values: ArrayLike,
        score: ArrayLike | None = None,
    ) -> Rows:
        """Take frames in each device's own order; a frame of a closed block is left out.

        device, ts_ms, phase: [n]; values: [n, c], NaN where missing; score: [n], the fleet
        scorer's word on each frame, as `observe_scores` takes it.
        """
        at, ts = _ints(device), _ints(ts_ms)
        kind = Phase.OF_WIRE[np.clip(_ints(phase), 0, 7)]
        x = np.asarray(values, dtype=float)
        due: list[Rows] = []
        for turn in _turns(at):
            due += self._close_before(at[turn], ts[turn])
            self._add(at[turn], ts[turn], kind[turn], x[turn])
            if score is not None:
                self._note_scores(at[turn], np.asarray(score, dtype=np.float32)[turn])
        return Rows.joined(due, self.spec.width)

    def observe_events(self, device: ArrayLike, ts_ms: ArrayLike, code: ArrayLike) -> Rows:
        """Take error events; `code` indexes `spec.codes`, one past its end for unknown codes."""
        at, ts, which = _ints(device), _ints(ts_ms), _ints(code)
        due: list[Rows] = []
        for turn in _turns(at):
            due += self._close_before(at[turn], ts[turn])
            self._count_events(at[turn], ts[turn], which[turn])
        return Rows.joined(due, self.spec.width)

    def observe_replacements(
        self, device: ArrayLike, ts_ms: ArrayLike, component: ArrayLike
    ) -> Rows:
        """Take part replacements; channels tied to the part learn their baseline anew."""
        at, ts, which = _ints(device), _ints(ts_ms), _ints(component)
        due: list[Rows] = []
        for turn in _turns(at):
            due += self._close_before(at[turn], ts[turn])
            self._install(at[turn], which[turn], ts[turn])
            self._forget(at[turn], which[turn])
        return Rows.joined(due, self.spec.width)

    def observe_installs(
        self, device: ArrayLike, component: ArrayLike, installed_ms: ArrayLike
    ) -> None:
        """Take the installation times that a birth tells; a later known one stands."""
        self._install(_ints(device), _ints(component), _ints(installed_ms))

    def advance(self, device: ArrayLike, now_ms: ArrayLike) -> Rows:
        """Close every block that ended before `now_ms`: all up to then has been taken."""
        at = _ints(device)
        now = np.broadcast_to(_ints(now_ms), at.shape)
        begun = self._records["block_end"][at] > 0
        due = self._close_before(at[begun], now[begun])
        return Rows.joined(due, self.spec.width)

    def snapshot(self, device: int) -> bytes:
        """Return one device's record as bytes, bound to this cohort's layout."""
        body: bytes = self._records[device].tobytes()
        return _HEADER.pack(_MAGIC, self._layout()) + body

    def restore(self, device: int, payload: bytes) -> None:
        """Put one device's record back; `SnapshotMismatch` where the layout differs."""
        size = _HEADER.size + self._records.dtype.itemsize
        if len(payload) != size or _HEADER.unpack_from(payload) != (_MAGIC, self._layout()):
            raise SnapshotMismatch
        self._records[device] = np.frombuffer(
            payload, dtype=self._records.dtype, offset=_HEADER.size
        )[0]

    def _layout(self) -> int:
        told = (self.spec.columns, self.spec.step_ms, self.spec.tied.tolist())
        return zlib.crc32(repr(told).encode())

    def _block(self, at: Ints) -> Ints:
        block: Ints = self._records["block_end"][at] // self.spec.step_ms
        return block

    def _add(self, at: Ints, ts: Ints, kind: Ints, x: Floats) -> None:
        r = self._records
        fresh = ts > r["block_end"][at] - self.spec.step_ms
        at, kind, x = at[fresh], kind[fresh], x[fresh]
        known = np.isfinite(x)
        r["frames"][at, 0] += 1
        r["frames"][at, 1] += (~known).any(axis=1).astype(np.uint32)
        shifted = np.where(known, x - r["centre"][at, 0], 0.0)
        told = kind < record.PHASES
        r["n"][at[told], kind[told]] += known[told]
        r["sum"][at[told], kind[told]] += shifted[told]
        work = kind == Phase.WORK
        r["square"][at[work]] += shifted[work] ** 2
        r["peak"][at[work]] = np.fmax(r["peak"][at[work]], x[work])

    def _note_scores(self, at: Ints, x: NDArray[np.float32]) -> None:
        slot = self._block(at) % RING
        self._records["score"][at] = x
        self._records["scores"][at, slot] = np.fmax(self._records["scores"][at, slot], x)

    def _rate(self, at: Ints, score: NDArray[np.float32]) -> None:
        r, slot = self._records, self._block(at) % RING
        r["score"][at] = np.where(np.isnan(score), r["score"][at], score)
        r["scores"][at, slot] = np.fmax(r["scores"][at, slot], score)

    def _count_events(self, at: Ints, ts: Ints, code: Ints) -> None:
        r, step = self._records, self.spec.step_ms
        r["last_event"][at, code] = np.maximum(r["last_event"][at, code], ts)
        block = -(-ts // step)
        held = block > self._block(at) - RING
        at, code, slot = at[held], code[held], block[held] % RING
        r["events"][at, slot, code] = np.minimum(r["events"][at, slot, code], 254) + 1

    def _install(self, at: Ints, component: Ints, ts: Ints) -> None:
        for turn in _turns(at):
            i, k = at[turn], component[turn]
            later = np.maximum(self._records["installed"][i, k], ts[turn])
            self._records["installed"][i, k] = later

    def _forget(self, at: Ints, component: Ints) -> None:
        """Begin the part's own channels anew: their baselines, and the block that is open."""
        r, mine = self._records, self.spec.tied[None, :] == component[:, None]
        for name in ("count", "n", "sum"):
            r[name][at] = np.where(mine[:, None, :], 0, r[name][at])
        r["square"][at] = np.where(mine, 0.0, r["square"][at])
        r["peak"][at] = np.where(mine, -np.inf, r["peak"][at])

    def _close_before(self, at: Ints, ts: Ints) -> list[Rows]:
        """Close, boundary by boundary, the blocks that end before `ts`; `at` is unique."""
        r, step = self._records, self.spec.step_ms
        new = r["block_end"][at] == 0
        r["block_end"][at[new]] = -(-ts[new] // step) * step
        r["started"][at[new]] = ts[new]
        due: list[Rows] = []
        late = r["block_end"][at] < ts
        while late.any():
            at, ts = at[late], ts[late]
            due.append(self._close(at))
            earliest = -(-ts // step) * step - MAX_BACKFILL * step
            r["block_end"][at] = np.maximum(r["block_end"][at] + step, earliest)
            self._open(at)
            late = r["block_end"][at] < ts
        return due

    def _open(self, at: Ints) -> None:
        r = self._records
        r["n"][at], r["sum"][at], r["square"][at] = 0, 0.0, 0.0
        r["peak"][at], r["frames"][at] = -np.inf, 0
        slot = self._block(at) % RING
        r["events"][at, slot] = 0
        r["scores"][at, slot] = np.nan

    def _close(self, at: Ints) -> Rows:
        r, here = self._records, self._records[at]
        shift = here["centre"][:, 0]
        work, heating, rest = (
            record.mean(here["sum"][:, p], here["n"][:, p]) + shift for p in range(record.PHASES)
        )
        spread = record.deviation(here["sum"][:, 0], here["square"], here["n"][:, 0])
        peak = np.where(np.isfinite(here["peak"]), here["peak"], np.nan)
        block = np.stack([work, spread, peak, heating, rest], axis=1)
        r["ring"][at, self._block(at) % RING] = work
        r["last"][at] = record.follow(here["last"], work, 1.0)
        r["quick"][at] = record.follow(here["quick"], block[:, 1:], record.QUICK_RATE)
        r["centre"][at], r["scale"][at], r["count"][at] = record.learn(
            here["centre"], here["scale"], here["count"], block, self.spec.memory_blocks
        )
        self._shares(at, here)
        return Rows(device=at.copy(), ts_ms=here["block_end"].copy(), values=self._row(at))

    def _shares(self, at: Ints, here: NDArray[np.void]) -> None:
        frames = here["frames"][:, 0].astype(float)
        worked = here["n"][:, Phase.WORK].max(axis=1, initial=0)
        share = record.mean(worked.astype(float), here["frames"][:, 0])
        broken = record.mean(here["frames"][:, 1].astype(float), here["frames"][:, 0])
        rate = record.QUICK_RATE
        old = here["working"].astype(float)
        self._records["working"][at] = record.follow(old, share, rate)
        lost = np.where(frames > 0, broken, 1.0)
        self._records["missing"][at] = record.follow(here["missing"].astype(float), lost, rate)

    def _row(self, at: Ints) -> NDArray[np.float32]:
        here = self._records[at]
        end = here["block_end"]
        short, long, filled = self._windows(at, here)
        levels = np.concatenate(
            [np.stack([here["last"], short, long], axis=1), here["quick"]], axis=1
        )
        flat = [a.reshape(len(at), -1) for a in (levels, here["centre"], here["scale"])]
        return np.concatenate(
            [
                *flat,
                here["count"].reshape(len(at), -1),
                filled,
                self._day_counts(here),
                _hours_since(end, here["last_event"]),
                _hours_since(end, here["installed"]),
                ((end - here["started"]) / HOUR_MS)[:, None],
                here["working"][:, None],
                here["missing"][:, None],
                here["score"][:, None],
                _peak(here["scores"])[:, None],
            ],
            axis=1,
            dtype=np.float32,
            casting="unsafe",
        )

    def _windows(self, at: Ints, here: NDArray[np.void]) -> tuple[Floats, Floats, Floats]:
        """Return means of the non-empty blocks in the short and the long window, [m, c] each.

        And what share of each window's blocks that was, [m, 2 * c].
        """
        block, ring = self._block(at), here["ring"]
        each = np.arange(len(at))
        total = np.zeros(ring.shape[::2])
        n = np.zeros(ring.shape[::2], np.uint32)
        short, brief = total, n
        for age in range(RING):
            x = ring[each, (block - age) % RING].astype(float)
            known = np.isfinite(x)
            total = total + np.where(known, x, 0.0)
            n = n + known
            if age == SHORT - 1:
                short, brief = record.mean(total, n), n
        filled = np.concatenate([brief / SHORT, n / RING], axis=1)
        return short, record.mean(total, n), filled

    def _day_counts(self, here: NDArray[np.void]) -> Floats:
        block = here["block_end"] // self.spec.step_ms
        slots = (block[:, None] - np.arange(self.spec.day_blocks)) % RING
        counts: Floats = np.take_along_axis(here["events"], slots[:, :, None], axis=1).sum(
            axis=1, dtype=float
        )
        return counts


def _peak(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    filled = np.where(np.isnan(scores), -np.inf, scores).max(axis=1)
    return np.where(np.isfinite(filled), filled, np.nan).astype(np.float32)


def _hours_since(end: Ints, then: Ints) -> Floats:
    hours = np.maximum(end[:, None] - then, 0) / HOUR_MS
    return np.where(then != 0, hours, np.nan)


def _ints(values: ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _turns(at: Ints) -> Iterator[Ints | slice]:
    """Yield index sets in which no device appears twice, keeping each device's order."""
    if len(at) == 0:
        return
    rank = record.occurrence(at)
    if not rank.any():
        yield slice(None)
        return
    order = np.argsort(rank, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(rank[order])) + 1)
