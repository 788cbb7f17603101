"""Ports are chosen without surprise, and a taken one is named with its holder."""

from __future__ import annotations

import os
import socket

import pytest

from stack.embedded.ports import LOOPBACK, PortTaken, claim_port, free_port, is_free


def test_a_free_port_is_free_and_stays_so_until_used() -> None:
    port = free_port()

    assert is_free(port)
    assert claim_port(port, purpose="a test", option="--port") == port


def test_zero_means_any_port() -> None:
    assert claim_port(0, purpose="a test", option="--port") > 1023


def test_a_taken_port_names_its_holder_and_the_way_out() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken) as refusal:
            claim_port(port, purpose="the console", option="--api-port")

    assert f"Port {port} for the console is taken by " in str(refusal.value)
    assert f"(pid {os.getpid()}); stop that program or choose another port with --api-port." in str(
        refusal.value
    )
