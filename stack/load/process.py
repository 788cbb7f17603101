"""One load process: `python -m stack.load.process COURSE`, a JSON object; prints its figures."""

from __future__ import annotations

import json
import sys

import msgspec

from foremend import settings
from foremend.errors import ForemendError
from stack.load.speech import Course, Speech


def main() -> None:
    """Run the course of the first argument against the broker of the settings."""
    course = msgspec.json.decode(sys.argv[1], type=Course)
    try:
        sys.stdout.write(json.dumps(Speech(course, settings.load()).run()) + "\n")
    except ForemendError as error:
        raise SystemExit(f"foremend: {error}") from error


if __name__ == "__main__":
    main()
