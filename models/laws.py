"""The laws that every model of ours obeys, as checks that a test can run on any of them.

Each check raises LawBroken and says how. What learns row by row is a `Stream`; what was trained
once is a function of its rows, a `Predict`.

    for law in STREAM_LAWS:
        law(lambda: MyStream(), log)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from foremend.errors import ForemendError

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Predict = Callable[[Rows], npt.NDArray[np.generic]]
Look = Callable[[tuple[str, ...], Floats], npt.NDArray[np.generic]]
"""What a model makes of frames [n, c] whose columns are these channels."""


class LawBroken(ForemendError):
    """A model does not keep a law that every model keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Inputs of several devices in the order in which they were logged."""

    device: npt.NDArray[np.int64]
    ts_ms: npt.NDArray[np.int64]
    values: Floats
    """[n, c]; NaN where missing."""
    learn: npt.NDArray[np.bool_]
    """[n] false for a row that is to be scored and not learnt from."""

    def __len__(self) -> int:
        return len(self.device)

    def rows(self, which: slice | npt.NDArray[np.bool_]) -> Self:
        """Some of the rows."""
        return type(self)(
            device=self.device[which],
            ts_ms=self.ts_ms[which],
            values=self.values[which],
            learn=self.learn[which],
        )


class Stream(Protocol):
    """A model that scores rows and learns from them."""

    def feed(self, log: Log) -> Floats:
        """Score each row, then learn from it; [n], or [n, k] where there is more to say."""

    def snapshot(self, device: int) -> bytes:
        """Everything that later scores of a device depend on."""

    def restore(self, device: int, snapshot: bytes) -> None:
        """Put a snapshot into a fresh stream."""


Make = Callable[[], Stream]


def batch_boundaries_do_not_matter(make: Make, log: Log, cuts: Sequence[int] = ()) -> None:
    """One log cut anywhere gives the same scores and the same bytes of state."""
    whole, parts = make(), make()
    scores = whole.feed(log)
    edges = [0, *(sorted(cuts) or range(1, len(log), 7)), len(log)]
    pieces = [parts.feed(log.rows(slice(start, end))) for start, end in pairwise(edges)]
    _same("scores depend on how the log was batched", scores, np.concatenate(pieces))
    _same_states("state depends on how the log was batched", whole, parts, log)


def neighbours_do_not_matter(make: Make, log: Log) -> None:
    """A device's scores and state are the same without the other devices."""
    together = make()
    scores = together.feed(log)
    for device in np.unique(log.device).tolist():
        alone, mine = make(), log.device == device
        _same(f"device {device} depends on others", scores[mine], alone.feed(log.rows(mine)))
        if alone.snapshot(device) != together.snapshot(device):
            raise LawBroken(f"the state of device {device} depends on others")


def snapshots_round_trip(make: Make, log: Log) -> None:
    """A restored stream goes on as the one it was taken from."""
    first, later = log.rows(slice(0, len(log) // 2)), log.rows(slice(len(log) // 2, len(log)))
    old, new = make(), make()
    old.feed(first)
    for device in np.unique(first.device).tolist():
        new.restore(device, old.snapshot(device))
    _same("a restored stream scores differently", old.feed(later), new.feed(later))
    _same_states("a restored stream learns differently", old, new, log)


def scores_come_before_learning(make: Make, log: Log) -> None:
    """The score of a row is the same whether or not the row is then learnt from."""
    before = log.rows(slice(0, len(log) - 1))
    last = log.rows(slice(len(log) - 1, len(log)))
    unlearnt = Log(
        device=last.device, ts_ms=last.ts_ms, values=last.values, learn=np.zeros(1, np.bool_)
    )
    learning, looking = make(), make()
    learning.feed(before)
    looking.feed(before)
    _same("a row is learnt before it is scored", learning.feed(last), looking.feed(unlearnt))


def memory_is_bounded(make: Make, log: Log) -> None:
    """A device's state does not grow with its history, once that is long."""
    stream = make()
    device = int(log.device[0])
    stream.feed(log)
    once = len(stream.snapshot(device))
    for lap in range(1, 4):
        span = int(log.ts_ms.max() - log.ts_ms.min() + 1)
        stream.feed(_later(log, lap * span))
    if len(stream.snapshot(device)) > 2 * once:
        raise LawBroken("a device's state grows with its history")


def missing_values_survive(make: Make, log: Log) -> None:
    """Channels that fall silent, one after another and then all, leave every score finite."""
    values = log.values.copy()
    channels = values.shape[1]
    for channel in range(channels):
        values[len(log) * (channel + 1) // (channels + 2) :, channel] = np.nan
    gone = Log(device=log.device, ts_ms=log.ts_ms, values=values, learn=log.learn)
    if not np.isfinite(make().feed(gone)).all():
        raise LawBroken("a missing channel makes a score infinite or unknown")


STREAM_LAWS: Final = (
    batch_boundaries_do_not_matter,
    neighbours_do_not_matter,
    snapshots_round_trip,
    scores_come_before_learning,
    memory_is_bounded,
    missing_values_survive,
)


def predict_is_pure(predict: Predict, rows: Rows) -> None:
    """Predicting twice gives the same bytes, and leaves the rows alone."""
    given = rows.copy()
    first = predict(given).tobytes()
    if not np.array_equal(given, rows, equal_nan=True):
        raise LawBroken("predicting changes its input")
    if predict(rows).tobytes() != first:
        raise LawBroken("predicting twice gives two answers")


def rows_are_independent(predict: Predict, rows: Rows) -> None:
    """A row's prediction does not depend on which rows are asked beside it."""
    single = np.concatenate([predict(rows[i : i + 1]) for i in range(len(rows))])
    _same("a prediction depends on its neighbours", predict(rows), single)


def same_seed_same_model(train: Callable[[int], Predict], rows: Rows) -> None:
    """Training twice with one seed gives the same predictions, bit for bit."""
    _same("one seed gives two models", train(7)(rows), train(7)(rows))


def saved_model_is_the_model(predict: Predict, load: Callable[[], Predict], rows: Rows) -> None:
    """What is loaded predicts as what was saved."""
    _same("a loaded model predicts differently", predict(rows), load()(rows))


def missing_columns_survive(predict: Predict, rows: Rows) -> None:
    """A column that is missing everywhere still gives finite predictions."""
    for column in range(rows.shape[1]):
        gone = rows.copy()
        gone[:, column] = np.nan
        if not np.isfinite(np.asarray(predict(gone), np.float64)).all():
            raise LawBroken(f"without column {column} there is no prediction")


def new_channels_change_nothing(look: Look, channels: Sequence[str], values: Floats) -> None:
    """Channels are known by name: others beside them, in another order, change no prediction."""
    told = look(tuple(channels), values)
    extra = np.linspace(-1e6, 1e6, len(values))[:, None]
    more = np.hstack([extra, values[:, ::-1]])
    names = ("never_heard_of", *reversed(tuple(channels)))
    _same("an unknown channel changes a prediction", told, look(names, more))


PREDICT_LAWS: Final = (predict_is_pure, rows_are_independent, missing_columns_survive)


def _same(complaint: str, one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> None:
    if one.tobytes() != other.tobytes():
        raise LawBroken(complaint)


def _same_states(complaint: str, one: Stream, other: Stream, log: Log) -> None:
    for device in np.unique(log.device).tolist():
        if one.snapshot(device) != other.snapshot(device):
            raise LawBroken(f"{complaint} (device {device})")


def _later(log: Log, by_ms: int) -> Log:
    return Log(device=log.device, ts_ms=log.ts_ms + by_ms, values=log.values, learn=log.learn)
