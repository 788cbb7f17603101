"""`python -m edge_agent CONFIG`: one agent, and not a byte of the command line in its memory."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_agent.app import run
from foremend.errors import ForemendError


def main() -> None:
    """Run one agent; an error of ours is one sentence and status 1."""
    try:
        run(Path(sys.argv[1]))
    except ForemendError as error:
        raise SystemExit(f"foremend: {error}") from error


if __name__ == "__main__":
    main()
