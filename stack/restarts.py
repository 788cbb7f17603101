"""When a service is started, waited for, started again or given up: decisions without a clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final


class Phase(Enum):
    """Where a service stands."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"


class Action(Enum):
    """What the supervisor does about a service."""

    WAIT = "wait"
    START = "start"
    ANNOUNCE = "announce"
    """It has come up: tell whoever listens."""
    RETRY = "retry"
    """It has ended: start it again after a delay."""
    KILL = "kill"
    FINISH = "finish"
    GIVE_UP = "give up"
    """Bring everything down."""


class Reason(Enum):
    """Why."""

    FIRST_START = "first start"
    BACKED_OFF = "the delay is over"
    BACKING_OFF = "the delay is not over"
    COMING_UP = "not ready yet"
    NEED_DOWN = "what it needs is not ready"
    NEED_DIED = "what it needs had ended"
    CAME_UP = "ready"
    HEALTHY = "running"
    DIED_STARTING = "it ended before it was ready"
    DIED = "it ended"
    KEEPS_DYING = "it ended too often in a row"
    NEVER_READY = "it was not ready in time"
    WORK_DONE = "its work is done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a service may ask of its supervisor's patience; times in seconds."""

    vital: bool = True
    """Without it the others are of no use."""
    once: bool = False
    """It has an end of its own: status 0 means done."""
    patience: float = 60.0
    """To become ready."""
    deaths: int = 5
    """In a row that a vital service may die."""
    stable: float = 30.0
    """Ready for so long, earlier deaths are forgiven."""
    needs: tuple[str, ...] = ()
    """Services without which it cannot work: it is not started, nor blamed, while one is away."""
    first_delay: float = 0.2
    longest_delay: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the supervisor remembers of a service."""

    phase: Phase = Phase.DOWN
    since: float = 0.0
    """When the phase began."""
    deaths: int = 0
    """In a row."""
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look at a service shows."""

    alive: bool = False
    ready: bool = False
    status: int | None = None
    needs_met: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An action and its reason."""

    action: Action
    reason: Reason


def decide(state: State, seen: Seen, now: float, terms: Terms) -> Decision:
    """Choose what to do about one service."""
    match state.phase:
        case Phase.DOWN:
            return _while_down(state, seen, now)
        case Phase.DONE:
            return Decision(action=Action.WAIT, reason=Reason.WORK_DONE)
        case _ if not seen.alive:
            return _after_death(state, seen, now, terms)
        case Phase.STARTING:
            return _while_starting(state, seen, now, terms)
        case Phase.READY:
            return Decision(action=Action.WAIT, reason=Reason.HEALTHY)


def advance(state: State, decision: Decision, now: float, terms: Terms, jitter: float) -> State:
    """Return the state that a decision leads to; `jitter` in [0, 1) spreads restarts."""
    match decision.action:
        case Action.START:
            return replace(state, phase=Phase.STARTING, since=now)
        case Action.ANNOUNCE:
            return replace(state, phase=Phase.READY, since=now)
        case Action.FINISH:
            return replace(state, phase=Phase.DONE, since=now)
        case Action.RETRY:
            blamed = decision.reason is not Reason.NEED_DIED
            deaths = _deaths(state, now, terms) if blamed else state.deaths
            wait = delay(max(deaths, 1), jitter, terms)
            return State(phase=Phase.DOWN, since=now, deaths=deaths, retry_at=now + wait)
        case Action.WAIT | Action.KILL | Action.GIVE_UP:
            # The time that a service has to come up begins when it can.
            held = decision.reason is Reason.NEED_DOWN
            return replace(state, since=now) if held else state


def delay(deaths: int, jitter: float, terms: Terms) -> float:
    """Return seconds to wait after the nth death in a row: doubling, bounded, half of it random.

    The random half keeps services that died of one cause from coming back in one moment.
    """
    full = min(terms.first_delay * 2.0 ** min(deaths - 1, DOUBLINGS), terms.longest_delay)
    return full * (0.5 + jitter / 2)


DOUBLINGS: Final = 32
"""Enough for any bound, and not too much for a float."""


def _while_down(state: State, seen: Seen, now: float) -> Decision:
    if not seen.needs_met:
        return Decision(action=Action.WAIT, reason=Reason.NEED_DOWN)
    if now < state.retry_at:
        return Decision(action=Action.WAIT, reason=Reason.BACKING_OFF)
    reason = Reason.BACKED_OFF if state.retry_at else Reason.FIRST_START
    return Decision(action=Action.START, reason=reason)


def _while_starting(state: State, seen: Seen, now: float, terms: Terms) -> Decision:
    if seen.ready:
        return Decision(action=Action.ANNOUNCE, reason=Reason.CAME_UP)
    if not seen.needs_met:
        return Decision(action=Action.WAIT, reason=Reason.NEED_DOWN)
    if now - state.since < terms.patience:
        return Decision(action=Action.WAIT, reason=Reason.COMING_UP)
    action = Action.GIVE_UP if terms.vital else Action.KILL
    return Decision(action=action, reason=Reason.NEVER_READY)


def _after_death(state: State, seen: Seen, now: float, terms: Terms) -> Decision:
    if terms.once and seen.status == 0:
        return Decision(action=Action.FINISH, reason=Reason.WORK_DONE)
    if not seen.needs_met:
        return Decision(action=Action.RETRY, reason=Reason.NEED_DIED)
    if terms.vital and _deaths(state, now, terms) >= terms.deaths:
        return Decision(action=Action.GIVE_UP, reason=Reason.KEEPS_DYING)
    started = state.phase is Phase.READY
    return Decision(action=Action.RETRY, reason=Reason.DIED if started else Reason.DIED_STARTING)


def _deaths(state: State, now: float, terms: Terms) -> int:
    """Count a death that is just seen."""
    forgiven = state.phase is Phase.READY and now - state.since >= terms.stable
    return 1 if forgiven else state.deaths + 1
