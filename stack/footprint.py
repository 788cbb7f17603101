"""How much memory a process takes together with the processes it started."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

KIB_PER_MIB: Final = 1024


def footprint_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants in MiB; 0 once it is gone.

    Pages that several of them share (PostgreSQL's buffers) count once: the kernel's proportional
    figure is used where we may read it, the plain resident size elsewhere.
    """
    try:
        root = psutil.Process(pid)
        family = (root, *root.children(recursive=True))
    except psutil.NoSuchProcess:
        return 0.0
    return round(sum(_resident_kib(member) for member in family) / KIB_PER_MIB, 1)


def own_mb() -> float:
    """Return the resident memory of this process alone in MiB."""
    return round(_resident_kib(psutil.Process()) / KIB_PER_MIB, 1)


def _resident_kib(process: psutil.Process) -> float:
    try:
        return _proportional_kib(process.pid)
    except (OSError, ValueError):
        pass
    try:
        return float(process.memory_info().rss) / 1024
    except psutil.Error:
        return 0.0


def _proportional_kib(pid: int) -> float:
    """Read the kernel's sum over all mappings (proc_pid_smaps_rollup(5))."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1])
    raise ValueError("a kernel without proportional sizes")
