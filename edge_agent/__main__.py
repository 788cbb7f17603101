"""`python -m edge_agent CONFIG`: one agent, and not a byte of the command line in its memory.

`enrol CONFIG` and `renew CONFIG` get and renew the device's own credentials.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from foremend.errors import ForemendError

_SUBJECTS = ("enrol", "renew")


def main(argv: list[str] | None = None) -> None:
    """Do what is asked; an error of ours is one sentence and status 1."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if words and words[0] in _SUBJECTS:
            _see_to_credentials(words)
        else:
            from edge_agent.app import run  # noqa: PLC0415 - the others need none of it

            run(_reading("run one agent until it is told to stop").parse_args(words).config)
    except ForemendError as error:
        raise SystemExit(f"foremend: {error}") from error


def _see_to_credentials(words: list[str]) -> None:
    from edge_agent.door import admission  # noqa: PLC0415 - only when it is asked for

    if words[0] == "renew":
        config = _reading("renew the secret of an enrolled device").parse_args(words[1:]).config
        sys.stdout.write(f"renewed: {admission.renew(config)}\n")
        return
    parser = _reading("claim a device's own credentials")
    parser.add_argument("--url", help="of the API; default: [enrol] in the configuration")
    parser.add_argument("--token", help="from `foremend device claim`; default: likewise")
    parser.add_argument("--allow-http", action="store_true", help="on a trusted network only")
    told = parser.parse_args(words[1:])
    login = admission.enrol(
        told.config, url=told.url, token=told.token, allow_http=told.allow_http or None
    )
    sys.stdout.write(f"enrolled: {login}\n")


def _reading(purpose: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="foremend agent", description=purpose)
    parser.add_argument("config", type=Path, help="the agent's TOML file")
    return parser


if __name__ == "__main__":
    main()
