"""Named blocks of the `.sql` files beside their callers; the agent cannot use the servers' own."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def load(file: str) -> dict[str, str]:
    """Read the blocks of a file of this package; what stands before the first is a heading."""
    return parse(files("edge_agent").joinpath(file).read_text("utf-8"))


def parse(text: str) -> dict[str, str]:
    r"""Split text at its `-- name: word` lines.

    >>> parse("-- name: one\nSELECT 1\n")
    {'one': 'SELECT 1'}
    """
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], (body.strip() for body in parts[1::2]), strict=True))
