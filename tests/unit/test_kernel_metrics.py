"""What a process counts, where it was asked to serve it."""

from __future__ import annotations

import socket

import httpx
import pytest

import alerting.metrics  # noqa: F401 - registers what it counts
import field_service.metrics  # noqa: F401 - likewise
import models.scoring.metrics  # noqa: F401 - likewise
from foremend import metrics
from foremend.errors import ConfigurationError
from foremend.settings import Settings

NAMES = (
    "foremend_scoring_entries_behind",
    "foremend_alert_changes_total",
    "foremend_work_orders_moved_total",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((metrics.HOST, 0))
        return int(probe.getsockname()[1])


def test_what_a_process_counts_is_served_where_it_was_told() -> None:
    port = free_port()
    metrics.serve(Settings(metrics_port=port))
    told = httpx.get(f"http://{metrics.HOST}:{port}/metrics", trust_env=False).text
    for name in NAMES:
        assert f"# TYPE {name}" in told or f"# TYPE {name.removesuffix('_total')}" in told


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind((metrics.HOST, 0))
        other.listen()
        with pytest.raises(ConfigurationError, match="a FOREMEND_METRICS_PORT of its own"):
            metrics.serve(Settings(metrics_port=other.getsockname()[1]))


def test_nothing_is_served_unless_asked() -> None:
    metrics.serve(Settings(metrics_port=0))
