"""Logs from the standard library, on standard error: a line for a person, or one JSON object."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record, and whatever `extra` it was given, as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "module": record.name,
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class PlainLines(logging.Formatter):
    """Writes a record as a person reads it: `15:04:49 warning no link: error = refused`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end; a traceback stands below."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone()
        told = [f"{k} = {v}" for k, v in vars(record).items() if k not in _STANDARD]
        line = f"{at:%T} {record.levelname.lower():<7} {record.getMessage()}"
        line += f": {', '.join(told)}" if told else ""
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return f"{line}\n{trace}" if trace else line


def configure(level: str = "INFO") -> None:
    """Send this process's logs to standard error, and keep libraries to warnings.

    At a terminal they are for a person, elsewhere for a program.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # It tells of each failed connection in words of its own, beside ours.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    logging.getLogger("edge_agent").setLevel(level)
