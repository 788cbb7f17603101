"""SQL lives in named blocks of `.sql` files beside its caller; Python holds none."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

from foremend.errors import ConfigurationError

_NAME: Final = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


class Queries:
    r"""The named blocks of one file, ready for `cursor.execute`.

    >>> Queries.parse("-- name: one\nSELECT 1\n")["one"]
    b'SELECT 1'
    """

    def __init__(self, blocks: dict[str, bytes], source: str) -> None:
        self._blocks = blocks
        self._source = source

    @classmethod
    def load(cls, package: str, file: str) -> Queries:
        """Read a file that is shipped inside `package`."""
        return cls.parse(files(package).joinpath(file).read_text("utf-8"), f"{package}/{file}")

    @classmethod
    def parse(cls, text: str, source: str = "<text>") -> Queries:
        """Split text at its `-- name: word` lines; what stands before the first is a heading.

        Raises:
            ConfigurationError: a name occurs twice.
        """
        _, *parts = _NAME.split(text)
        names = parts[::2]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"{source}: a block's name occurs twice")
        bodies = (body.strip().encode() for body in parts[1::2])
        return cls(dict(zip(names, bodies, strict=True)), source)

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._blocks[name]
        except KeyError:
            raise ConfigurationError(f"{self._source} has no block named {name!r}") from None
