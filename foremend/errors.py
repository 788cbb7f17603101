"""One root for every error of ours, each saying what the caller should do with it.

The docstring of a class is its default message, so that raising it bare still tells a story.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class Remedy(Enum):
    """What a caller may do about an error."""

    RETRY = "retry"
    """It may pass by itself: try again later."""
    REJECT = "reject"
    """The input is at fault: set it aside with its reason and go on."""
    FATAL = "fatal"
    """This process cannot go on: stop, and say why."""


class ForemendError(Exception):
    """Something went wrong."""

    remedy: ClassVar[Remedy] = Remedy.FATAL

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class Unavailable(ForemendError):
    """A server that is needed does not answer; it is tried again."""

    remedy = Remedy.RETRY


class ConfigurationError(ForemendError):
    """A setting is missing or wrong."""


class MalformedMessage(ForemendError):
    """A message could not be understood."""

    remedy = Remedy.REJECT

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message or reason)
        self.reason = reason
        """A short code, stable over releases, fit for a metric's label."""


class InputError(ForemendError):
    """A file holds something that cannot be used; names the file, line and field."""

    remedy = Remedy.REJECT

    def __init__(self, file: Path | str, line: int | None, field: str | None, message: str) -> None:
        place = str(file) if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {f'{field}: ' if field else ''}{message}")
        self.file, self.line, self.field = str(file), line, field


class SignatureRefused(ForemendError):
    """The signature does not match: nothing of this was read or run."""

    remedy = Remedy.REJECT


class Conflict(ForemendError):
    """Somebody changed this first: load it again and decide anew."""

    remedy = Remedy.REJECT


class NotFound(ForemendError):
    """No such thing here."""

    remedy = Remedy.REJECT
