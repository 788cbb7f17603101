"""What the agent's own process weighs beside a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent import bench
from edge_agent.config import BrokerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import BrokerAddress

MOST_MB = 48


def test_an_agent_with_one_source_stays_small_and_every_figure_is_measured(
    broker: BrokerAddress, tmp_path: Path
) -> None:
    login = BrokerConfig(port=broker.port, username=broker.user, password=broker.password)

    found = bench.measure(login, tmp_path, seconds=1.0, backlog=100, warm_up_s=1.0, commits=10)

    assert set(found) == {
        "rss_mb",
        "cpu_percent",
        "outbox_commits_per_s",
        "drain_messages_per_s",
    }
    assert 5 < found["rss_mb"] <= MOST_MB
    assert all(figure > 0 for name, figure in found.items() if name != "cpu_percent")
