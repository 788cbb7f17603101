"""Logs tell what happened, and never a secret."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOGGED = """
from foremend import log
log.configure("ingest", level={level!r}, as_json={as_json})
logger = log.get_logger("ingest.test")
logger.info("connected", {fields})
"""


def logged(fields: str, *, level: str = "INFO", as_json: bool = True) -> str:
    """Log one line in a process of its own: configuration of logs is a process's."""
    code = LOGGED.format(level=level, as_json=as_json, fields=fields)
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout == ""
    return told.stderr


def test_a_line_names_service_module_level_and_time() -> None:
    told = json.loads(logged("frames=3"))
    assert (
        told.items()
        >= {
            "service": "ingest",
            "module": "ingest.test",
            "level": "info",
            "event": "connected",
            "frames": 3,
        }.items()
    )
    assert told["timestamp"].endswith("Z")


SECRETS = (
    "password", "broker_password", "client_secret", "token", "crew_token", "private_key",
    "Authorization", "DATABASE_URL",
)  # fmt: skip


@pytest.mark.parametrize("as_json", [True, False], ids=["for machines", "for people"])
def test_fields_that_hold_secrets_are_hidden(as_json) -> None:
    fields = ", ".join(f"{name}='hunter2'" for name in SECRETS)
    told = logged(fields, as_json=as_json)
    assert "hunter2" not in told
    assert told.count("***") == len(SECRETS)


def test_what_is_below_the_level_is_not_told() -> None:
    assert logged("frames=3", level="WARNING") == ""
    assert logging.getLevelName("WARNING") == logging.WARNING


def test_lines_follow_standard_error_where_it_goes() -> None:
    code = """
import io, sys
from foremend import log
first = sys.stderr = io.StringIO()
log.configure("ingest")
logger = log.get_logger("ingest.test")
logger.info("before")
sys.stderr = sys.__stderr__
first.close()
logger.info("after")
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "after" in told.stderr
