"""A real OctoPrint with the virtual printer that comes with it, in a folder of its own."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from foremend.errors import Unavailable
from stack.command import Command
from stack.drill.ground import NotHere
from stack.drill.parts import ProcessPart, wait
from stack.embedded.ports import LOOPBACK, free_port
from stack.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

API_KEY: Final = "0F0E0D0C0B0A09080706050403020100"
"""Of a server that lives on loopback for the length of a drill."""
HOW: Final = (
    "OctoPrint is not installed here: `python -m venv octo && octo/bin/pip install OctoPrint`, "
    "then name octo/bin/octoprint with --octoprint"
)
BEGIN_S: Final = 90.0
TIMEOUT_S: Final = 10.0
_LEFT_OUT: Final = (
    "achievements", "action_command_notification", "action_command_prompt", "announcements",
    "appkeys", "backup", "classicwebcam", "discovery", "errortracking", "eventmanager",
    "file_check", "firmware_check", "gcodeviewer", "health_check", "logging", "pi_support",
    "pluginmanager", "softwareupdate", "tracking",
)  # fmt: skip
"""Plug-ins that come with it: none is needed, and some would call out."""
_CONFIG: Final = """\
accessControl: {{salt: drill}}
api: {{key: {key}}}
server:
  firstRun: false
  onlineCheck: {{enabled: false}}
  pluginBlacklist: {{enabled: false}}
serial:
  autoconnect: true
  port: VIRTUAL
  timeout: {{temperatureAutoreport: 1}}
plugins:
  _disabled: [{left_out}]
  virtual_printer: {{enabled: true{printer}}}
"""


def find(program: Path | None = None) -> Path:
    """Give OctoPrint's executable: the one named, one beside this environment, or one on PATH.

    Raises:
        NotHere: there is none; says how to get it.
    """
    if program is None:
        beside = Path(sys.prefix) / "foreign-octoprint" / "bin" / "octoprint"
        on_path = shutil.which("octoprint")
        program = beside if beside.exists() or on_path is None else Path(on_path)
    if not program.is_file():
        raise NotHere(HOW)
    return program


@dataclass(slots=True)
class OctoPrint:
    """Serves for as long as its `with` block lasts.

    >>> with OctoPrint(find(), folder) as server:
    ...     server.print_file(gcode)
    """

    program: Path
    folder: Path
    printer: str = ""
    """More settings of the virtual printer, as YAML behind a comma."""
    port: int = field(default_factory=free_port)
    part: ProcessPart = field(init=False)
    rest: httpx.Client = field(init=False)
    _undo: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(key=API_KEY, left_out=", ".join(_LEFT_OUT), printer=self.printer)
        (self.folder / "config.yaml").write_text(config, encoding="utf-8")
        self.rest = httpx.Client(
            base_url=self.url, headers={"X-Api-Key": API_KEY}, timeout=TIMEOUT_S, trust_env=False
        )
        service = Service(name="octoprint", command=self._command, ready=self._is_ready)
        self.part = ProcessPart(service, self.folder / "octoprint.log")
        with ExitStack() as stack:
            stack.callback(self.rest.close)
            stack.callback(self.part.kill)
            self.part.start()
            self.part.wait_ready(BEGIN_S)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._undo.close()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{LOOPBACK}:{self.port}"

    def tell(self, path: str, said: Mapping[str, Any]) -> None:
        """Post something to its API.

        Raises:
            Unavailable: it refuses, or does not answer.
        """
        try:
            self.rest.post(path, json=dict(said)).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"OctoPrint: {error}") from error

    def ask(self, path: str) -> dict[str, Any]:
        """Get something from its API; raises Unavailable."""
        try:
            answer = self.rest.get(path).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"OctoPrint: {error}") from error
        found = answer.json()
        return found if isinstance(found, dict) else {}

    def gcode(self, *lines: str) -> None:
        """Send lines to the printer."""
        self.tell("/api/printer/command", {"commands": list(lines)})

    def target(self) -> float:
        """Ask for what the hot end is to be, Cel; raises Unavailable."""
        return float(self.ask("/api/printer?exclude=sd,state")["temperature"]["tool0"]["target"])

    def print_file(self, gcode: str) -> None:
        """Upload a file and begin to print it."""
        files = {"file": ("drill.gcode", gcode.encode(), "text/plain")}
        try:
            answer = self.rest.post("/api/files/local", files=files, data={"print": "true"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"OctoPrint: {error}") from error

    def connect(self) -> None:
        """Connect to the printer where it is not connected; raises Unavailable."""
        if not self._is_ready():
            self.tell("/api/connection", {"command": "connect"})
        if not wait(self._is_ready, BEGIN_S):
            raise Unavailable("OctoPrint does not find its virtual printer")

    def state(self) -> str:
        """Give what it says that the printer does."""
        return str(self.ask("/api/connection").get("current", {}).get("state", ""))

    def _is_ready(self) -> bool:
        try:
            return self.state() == "Operational"
        except Unavailable:
            return False

    def _command(self) -> Command:
        where = ("--basedir", str(self.folder), "--host", LOOPBACK, "--port", str(self.port))
        return Command(argv=(str(self.program), "serve", "--iknowwhatimdoing", *where))
