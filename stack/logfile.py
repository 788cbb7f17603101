"""The file a child writes its output to; it is kept from growing without end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

LIMIT: Final = 8 * 1024**2
KEPT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A child's log; older parts stand beside it as `NAME.log.1` to `NAME.log.3`.

    The child writes to the file itself, not through a pipe: a supervisor that is busy, or dead,
    then neither blocks a child nor loses its last words.
    """

    path: Path
    limit: int = LIMIT
    """Bytes after which a new part is begun."""
    kept: int = KEPT

    def open(self) -> IO[bytes]:
        """Open it for a child to append to."""
        return self.path.open("ab")

    def size(self) -> int:
        """Return its present length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def rotate(self) -> bool:
        """Move what is written to a new part once it is too long; say whether it was.

        The child keeps its open file, so the text is copied and the file emptied; a line written
        between the two is lost, which a log may be.
        """
        if self.size() <= self.limit:
            return False
        for number in range(self.kept, 1, -1):
            older = self._part(number - 1)
            if older.exists():
                older.rename(self._part(number))
        shutil.copy2(self.path, self._part(1))
        with self.path.open("r+b") as present:
            present.truncate(0)
        return True

    def _part(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
