"""Whether a command is obeyed, and what of a configuration can be set: laws and examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.downlink import twin_decide
from edge_agent.downlink.decide import Action, Reason, Standing, allowed, decide_command
from edge_agent.downlink.journal import REMEMBERED, Answer, Memory
from edge_agent.downlink.kinds import BuiltIn, CommandFailed
from edge_agent.downlink.twin_decide import decide_config, merge
from edge_agent.sampling.config import ChannelSampling, SamplingConfig
from foremend.values import Phase
from foremend.wire import Address, Command, Config

OWN = Address(tenant="demo", device="printer-01")
phases = st.frozensets(st.sampled_from(list(map(int, Phase))))


def command(**changes) -> Command:
    told = {
        "id": "c1",
        "tenant": "demo",
        "device": "printer-01",
        "counter": 10,
        "kind": "burst",
        "issued_ms": 1_000,
        "expires_ms": 61_000,
    }
    return Command(**(told | changes))


def standing(**changes) -> Standing:
    told = {
        "address": OWN,
        "now_ms": 2_000,
        "phase": int(Phase.IDLE),
        "busy": False,
        "kinds": {"burst": frozenset(), "home": frozenset({int(Phase.IDLE)})},
        "counter": 9,
    }
    return Standing(**(told | changes))


@pytest.mark.parametrize(
    ("told", "stands", "action", "reason"),
    [
        (command(), standing(), Action.ACCEPT, Reason.FIT),
        (command(device="printer-02"), standing(), Action.REFUSE, Reason.OTHER_DEVICE),
        (command(tenant="other"), standing(), Action.REFUSE, Reason.OTHER_DEVICE),
        (command(), standing(counter=10), Action.REFUSE, Reason.PASSED),
        (command(), standing(counter=11), Action.REFUSE, Reason.PASSED),
        (command(), standing(counter=10, answered={"c1"}), Action.ANSWER_AGAIN, Reason.DUPLICATE),
        (command(), standing(now_ms=61_000), Action.REFUSE, Reason.EXPIRED),
        (command(), standing(now_ms=60_999), Action.ACCEPT, Reason.FIT),
        (command(kind="explode"), standing(), Action.REFUSE, Reason.UNKNOWN_KIND),
        (command(kind="home"), standing(phase=3), Action.REFUSE, Reason.FORBIDDEN_PHASE),
        (command(interlock=(1,)), standing(phase=3), Action.REFUSE, Reason.FORBIDDEN_PHASE),
        (command(kind="home", interlock=(3,)), standing(), Action.REFUSE, Reason.FORBIDDEN_PHASE),
        (command(), standing(busy=True), Action.IGNORE, Reason.BUSY),
        (command(), standing(now_ms=None), Action.IGNORE, Reason.CLOCK_NOT_TRUSTED),
    ],
)
def test_a_command_is_obeyed_once_in_time_and_where_it_is_safe(
    told, stands, action, reason
) -> None:
    decision = decide_command(told, stands)
    assert (decision.action, decision.reason) == (action, reason)


@given(phase=st.sampled_from(list(map(int, Phase))), own=phases, asked=phases)
def test_the_stricter_interlock_holds(phase, own, asked) -> None:
    if allowed(phase, own, asked):
        assert allowed(phase, own, frozenset())
        assert allowed(phase, frozenset(), asked)


@given(st.lists(st.integers(0, 50), max_size=60))
def test_no_number_is_obeyed_twice_nor_after_a_higher_one(counters) -> None:
    memory, obeyed = Memory(), []
    for n, counter in enumerate(counters):
        told = command(id=f"c{n}", counter=counter)
        known = {answer.id for answer in memory.answers}
        decision = decide_command(told, standing(counter=memory.counter, answered=known))
        if decision.action is Action.ACCEPT:
            obeyed.append(counter)
            memory = memory.with_answer(Answer(id=told.id, state="accepted"), counter)
    assert obeyed == sorted(set(obeyed))


@given(st.lists(st.sampled_from("abcdefgh"), max_size=80))
def test_what_is_remembered_is_bounded_and_says_the_last_word_on_each(ids) -> None:
    memory = Memory()
    for number, name in enumerate(ids):
        memory = memory.with_answer(Answer(id=name, state="finished", reason=str(number)))
    assert len(memory.answers) <= REMEMBERED
    for name in set(ids):
        answer = memory.of(name)
        assert answer is not None
        assert answer.reason == str(len(ids) - 1 - ids[::-1].index(name))


def config(version: int = 5, **desired) -> Config:
    return Config(tenant="demo", device="printer-01", version=version, issued_ms=0, desired=desired)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (4, twin_decide.Reason.NEWER),
        (5, twin_decide.Reason.SAME),
        (6, twin_decide.Reason.PASSED),
    ],
)
def test_a_configuration_is_applied_when_it_is_newer(version, reason) -> None:
    assert decide_config(config(5), address=OWN, version=version).reason is reason


def test_a_configuration_for_another_is_refused() -> None:
    other = Address(tenant="demo", device="printer-02")
    decision = decide_config(config(5), address=other, version=0)
    assert decision.reason is twin_decide.Reason.OTHER_DEVICE


BASE = SamplingConfig(channels={"fan": ChannelSampling(deadband=1.0)})


def merged(**desired):
    named = {name.replace("__", "."): value for name, value in desired.items()}
    return merge(
        named,
        log_level="INFO",
        first_resend_s=30.0,
        sampling=BASE,
        channels=frozenset({"fan", "hotend"}),
    )


def test_what_can_be_set_is_set_and_the_rest_is_named() -> None:
    plan = merged(
        log_level="DEBUG",
        sampling__window_s=10,
        sampling__fan__deadband=2.5,
        sampling__hotend__report="change",
        sampling__nozzle__deadband=1,
        sampling__fan__deadbnd=1,
        sampling__fan__period_s=-1,
        sampling__fan__statistics="max",
        first_resend_s=0,
        colour="blue",
    )

    assert plan.first_resend_s == 30.0
    assert plan.log_level == "DEBUG"
    assert plan.sampling.window_s == 10
    assert plan.sampling.channels["fan"].deadband == 2.5
    assert plan.sampling.channels["hotend"].report == "change"
    assert plan.reported == {
        "log_level": "applied",
        "first_resend_s": "invalid",
        "sampling.window_s": "applied",
        "sampling.fan.deadband": "applied",
        "sampling.hotend.report": "applied",
        "sampling.nozzle.deadband": "no_such_channel",
        "sampling.fan.deadbnd": "unknown",
        "sampling.fan.period_s": "invalid",
        "sampling.fan.statistics": "unknown",
        "colour": "unknown",
    }


def test_what_is_no_longer_desired_is_as_the_agents_own_file_says() -> None:
    assert merged().sampling == BASE


@given(st.dictionaries(st.text(max_size=12), st.none() | st.booleans() | st.integers() | st.text()))
def test_any_desire_at_all_is_reported_on(desired) -> None:
    plan = merge(
        desired, log_level="INFO", first_resend_s=30.0, sampling=BASE, channels=frozenset({"fan"})
    )
    assert set(plan.reported) == set(desired)


@pytest.mark.parametrize(
    "args", [{"seconds": 0}, {"seconds": 1e9}, {"seconds": "x"}, {"seconds": True}, {"channel": 3}]
)
async def test_a_burst_that_makes_no_sense_fails(args) -> None:
    able = BuiltIn(burst=lambda *_: None, report=lambda: None)
    with pytest.raises(CommandFailed):
        await able.run("burst", args)
