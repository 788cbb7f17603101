"""What `foremend command send` tells a person of a device's answer."""

from __future__ import annotations

from stack.commands.downlink import answer

ROW = {"id": "c1", "state": "finished", "reason": "", "details": {}}


def test_an_answer_shows_the_figures_that_were_asked_for() -> None:
    row = ROW | {"details": {"version": "1.11.8", "port": "VIRTUAL"}}

    assert answer(row) == ["c1: finished", "  port = VIRTUAL", "  version = 1.11.8"]


def test_a_refusal_says_why_and_where_to_look() -> None:
    row = ROW | {"state": "refused", "reason": "unknown_kind"}

    assert answer(row) == [
        "c1: refused: this device cannot do that; docs/devices/ says what each kind of device can"
    ]


def test_a_reason_of_the_device_s_own_is_told_as_it_is() -> None:
    assert answer(ROW | {"state": "failed", "reason": "heater lags"}) == ["c1: failed: heater lags"]


def test_an_answer_that_is_still_out_says_where_it_will_be_found() -> None:
    assert "foremend command list" in answer(ROW | {"state": "sent"})[0]
