"""Finding the few that cannot be stored among many that can, with few attempts; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Sifted(Generic[T, R]):
    """What came of it, in order."""

    results: list[R] = field(default_factory=list)
    culprits: list[tuple[T, str]] = field(default_factory=list)
    """With what was said against each."""


def sift(
    items: Sequence[T],
    attempt: Callable[[Sequence[T]], R],
    failure: type[Exception] | tuple[type[Exception], ...],
) -> Sifted[T, R]:
    """Halve what fails until each culprit stands alone.

    `attempt` takes all of what it is given or raises `failure` and takes none. For k culprits
    among n items it is called at most about 2 k log2(n / k) + 2 k times.

    >>> def attempt(items):
    ...     if 3 in items:
    ...         raise ValueError("three")
    ...     return sum(items)
    >>> sift([1, 2, 3, 4], attempt, ValueError)
    Sifted(results=[3, 4], culprits=[(3, 'three')])
    """
    sifted: Sifted[T, R] = Sifted()
    waiting = [items]
    while waiting:
        some = waiting.pop()
        if not some:
            continue
        try:
            sifted.results.append(attempt(some))
        except failure as error:
            if len(some) == 1:
                sifted.culprits.append((some[0], str(error).strip().partition("\n")[0]))
                continue
            half = len(some) // 2
            waiting += [some[half:], some[:half]]
    return sifted
