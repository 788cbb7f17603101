"""A shipped mapping as a Markdown table, so that pages about devices cannot stray from the data.

`python -m edge_agent.live.table FILE.md ...` renews what stands between
`<!-- mapping:NAME -->` and `<!-- /mapping -->` in each.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_agent.live.mapping import load

if TYPE_CHECKING:
    from edge_agent.live.mapping import Mapped, Mapping

MARKED: Final = re.compile(
    r"(?P<open><!-- mapping:(?P<name>[\w-]+) -->\n)(?P<table>.*?)(?P<close><!-- /mapping -->)",
    re.DOTALL,
)
_HEAD: Final = "| channel | unit | read from | made of it | possible | component |"


def table(mapping: Mapping) -> str:
    """Give the table of a mapping's channels, its job words and its source below."""
    rows = [_HEAD, "|---|---|---|---|---|---|", *map(_row, mapping.channels)]
    lines = [*rows, ""]
    if mapping.job is not None:
        words = ", ".join(f"{told} = {job}" for told, job in mapping.job.words.items())
        lines += [f"What it does: `{mapping.job.path}` ({words}).", ""]
    return "\n".join([*lines, f"Source: {mapping.source}.", ""])


def _row(channel: Mapped) -> str:
    cells = (
        f"`{channel.name}`",
        channel.unit,
        f"`{channel.path}`",
        _made(channel),
        _possible(channel),
        channel.component or "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _made(channel: Mapped) -> str:
    times = "" if channel.scale == 1.0 else f"x {channel.scale:.6g}"
    plus = "" if channel.offset == 0.0 else f"{channel.offset:+.6g}"
    words = ", ".join(f"{told} = {value:g}" for told, value in channel.words.items())
    return "; ".join(filter(None, (f"{times} {plus}".strip(), words)))


def _possible(channel: Mapped) -> str:
    if channel.low is None and channel.high is None:
        return ""
    low = "" if channel.low is None else f"{channel.low:g}"
    high = "" if channel.high is None else f"{channel.high:g}"
    return f"{low} to {high}".strip()


def renewed(page: str) -> str:
    """Give a page with every marked table as its mapping has it.

    Raises:
        ConfigurationError: there is no such mapping.
    """
    return MARKED.sub(lambda m: f"{m['open']}{table(load(m['name']))}{m['close']}", page)


def main(pages: list[str]) -> None:
    """Renew pages in place."""
    for page in map(Path, pages):
        page.write_text(renewed(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
