"""`python -m edge_agent run CONFIG`: one agent, and not a byte of the command line in its memory.

`enrol CONFIG` and `renew CONFIG` get and renew the device's own credentials; `discover` finds
devices and writes configurations. A word that is none of these is taken for a CONFIG to run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from foremend.errors import ForemendError

_SUBJECTS = ("enrol", "renew")
_HELP = """usage: foremend agent run CONFIG
       foremend agent enrol CONFIG --url URL --token TOKEN
       foremend agent renew CONFIG
       foremend agent discover [--write FOLDER]

One device's agent: it reads a printer or machine and reports over MQTT, losing nothing.

  run       read the device that CONFIG, a TOML file, describes, until told to stop
  enrol     trade a claim token for credentials of the device's own
  renew     renew their secret
  discover  find devices on the local network and ports, and write a CONFIG for each

Each tells its options with --help. docs/devices/ has a page for each kind of device.
"""

_RUN = """Read the device that a configuration describes and report what it says, until Ctrl-C.
What is read is kept in the outbox beside the configuration until it is committed at the far end.
docs/devices/README.md shows a whole configuration."""
_ENROL = """Trade a claim token for credentials of the device's own: once, for a token that was used
is worth nothing. They are kept beside the configuration, together with the broker's address and
the keys whose commands are obeyed."""
_RENEW = """Renew the secret of an enrolled device, which a running agent uses from its next
connection on."""


def main(argv: list[str] | None = None) -> None:
    """Do what is asked; an error of ours is one sentence and status 1."""
    words = sys.argv[1:] if argv is None else argv
    try:
        _do(words)
    except ForemendError as error:
        raise SystemExit(f"foremend: {error}") from error


def _do(words: list[str]) -> None:
    if words[:1] in ([], ["-h"], ["--help"]):
        sys.stdout.write(_HELP)
    elif words[0] in _SUBJECTS:
        _see_to_credentials(words)
    elif words[:1] == ["discover"]:
        from edge_agent.discovery.command import main as discover  # noqa: PLC0415 - alike

        discover(words[1:])
    else:
        from edge_agent.app import run  # noqa: PLC0415 - the others need none of it

        told = words[1:] if words[:1] == ["run"] else words
        run(_reading("run", _RUN).parse_args(told).config)


def _see_to_credentials(words: list[str]) -> None:
    from edge_agent.door import admission  # noqa: PLC0415 - only when it is asked for

    if words[0] == "renew":
        config = _reading("renew", _RENEW).parse_args(words[1:]).config
        sys.stdout.write(f"renewed: {admission.renew(config)}\n")
        return
    parser = _reading("enrol", _ENROL)
    parser.add_argument("--url", help="of the API; default: [enrol] in the configuration")
    parser.add_argument("--token", help="from `foremend device claim`; default: likewise")
    parser.add_argument("--allow-http", action="store_true", help="on a trusted network only")
    told = parser.parse_args(words[1:])
    login = admission.enrol(
        told.config, url=told.url, token=told.token, allow_http=told.allow_http or None
    )
    sys.stdout.write(f"enrolled: {login}\n")


def _reading(word: str, purpose: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"foremend agent {word}", description=purpose)
    parser.add_argument("config", type=Path, help="the agent's TOML file")
    return parser


if __name__ == "__main__":
    main()
