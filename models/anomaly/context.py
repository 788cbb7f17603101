"""What a device was asked for and what surrounded it, and what follows for its channels.

Nobody is ill because another material is printed. Channels of the kind `context` (targets,
commands, loads, weather) are never judged. Each other channel's least squares slopes on them, and
on what they have been of late, are learnt device by device, and what they explain is taken out
before anything is scored. Where the context is further from all that a device has known than its
few settings can tell of, its frames weigh less; at last they are not judged, only learnt from.

Contexts k, features m = 2 k (each now, and smoothed), channels c, devices n. Every operation is
elementwise over devices, so that a device's result does not depend on which others are beside it.
"""

from dataclasses import dataclass

import numpy as np

from models.anomaly import evidence
from models.anomaly.spec import Bools, Floats, Floats32, Ints
from models.anomaly.state import HELD_SHARE, ScorerState
from models.anomaly.versions import PriorVersions
from models.channelwise import summed, turned, turned_back

SLOW = 0.06
"""Weight of the newest frame in a context's smoothed value: heat follows it by as much."""
RIDGE = 0.001
"""Variance added to every feature, in its own, so that features that move together share."""
MEMORY = 4.0
"""Times the baselines' memory: how a channel follows its context is physics, and changes late."""
REFRESH_FRAMES = 16
LEAST = 1e-6
"""A feature that varied by less, as a share of its size, has never moved."""
STRANGEST = 2.0
"""Leverage beyond which nothing is judged: the uncertainty of what is expected then exceeds by as
many times the variance of all that was seen."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """The context of n frames."""

    features: Floats
    """[m, n]; NaN where unknown."""
    slow: Floats
    working: Bools
    """[n] frames whose context counts."""
    away: Floats
    """[m, n] from what is usual in this phase; 0 where unknown."""
    shift: Floats
    """[c, n] what follows from it for the channels; [1, 1] where there is no context."""
    weight: Floats32
    """[n] how much frames count: 1 in a well known context."""
    strange: Bools
    """[n] nothing can be said in this context."""


def seen(state: ScorerState, slots: Ints, working: Bools, told: Floats, broken: Bools) -> Light:
    """Put frames with contexts `told` [k, n] in the light of them."""
    slow = turned(state.slow[slots])
    begun = np.where(broken | ~np.isfinite(slow), told, slow + SLOW * (told - slow))
    slow = np.where(np.isfinite(told), begun, slow)
    features = np.concatenate([told, slow])
    known = np.isfinite(features) & working & (state.taught[slots, 0] > 0)
    away = np.where(known, features - turned(state.usual[slots]), 0.0)
    slopes = turned(np.take(state.slopes, slots, axis=0))
    weights = evidence.unfolded_last(turned(np.take(state.inverse, slots, axis=0)), len(away))
    wide = weights.astype(np.float64)
    lever = summed(np.stack([row * summed(of * away) for row, of in zip(away, wide, strict=True)]))
    leverage = lever / np.maximum(state.settings[slots, 0], _TINY)
    return Light(
        features=features,
        slow=slow,
        working=working,
        away=away,
        shift=summed(slopes.astype(np.float64) * away[:, None]),
        weight=(1.0 / np.sqrt(1.0 + leverage)).astype(np.float32),
        strange=leverage > STRANGEST,
    )


def none(frames: int) -> Light:
    """Where no channel tells of any context."""
    return Light(
        features=np.zeros((0, frames)),
        slow=np.zeros((0, frames)),
        working=np.zeros(frames, np.bool_),
        away=np.zeros((0, frames)),
        shift=np.zeros((1, 1)),
        weight=np.ones(1, np.float32),
        strange=np.zeros(1, np.bool_),
    )


def learn(
    state: ScorerState,
    slots: Ints,
    place: Ints,
    light: Light,
    taught: Floats,
    where: Bools,
    memory: float,
) -> None:
    """Learn from frames `where` [n] how channels follow their context.

    `taught` [c, n] are deviations with the context's part in them; that part alone where unknown.
    """
    rows = np.flatnonzero(where)
    if not len(rows):
        return
    at = slots[rows]
    away, features = light.away[:, rows], light.features[:, rows]
    count, longest = state.taught[at, 0], MEMORY * memory
    rate = 1.0 / np.minimum(count + 1.0, longest)
    usual = turned(state.usual[at])
    # A context that is missing is taken to be as usual.
    step = np.where(np.isfinite(features), rate * (features - usual), 0.0)
    state.usual[at] = turned_back(usual + step)
    # The line stays where it is: what is expected follows the point that it is told from.
    carried = summed(turned(np.take(state.slopes, at, axis=0)) * step[:, None]).T
    state.centre[at, place[rows]] += carried
    state.motion[at] += carried[:, None]
    moved = np.abs(away - turned(state.away[at]))
    state.path[at] = ((1.0 - 1.0 / longest) * turned(state.path[at]) + moved).T
    state.away[at] = away.T
    first, second = np.triu_indices(len(away))
    spread, cross = turned(state.spread[at]), turned(state.cross[at])
    state.spread[at] = (spread + rate * ((1.0 - rate) * away[first] * away[second] - spread)).T
    products = (1.0 - rate) * away[:, None] * taught[:, rows]
    state.cross[at] = turned_back(cross + rate * (products - cross))
    state.taught[at, 0] = np.minimum(count + 1.0, longest)
    due = state.seen[at] % REFRESH_FRAMES == 0
    if due.any():
        _refresh(state, at[due], (away - step)[:, due])


def _refresh(state: ScorerState, slots: Ints, away: Floats) -> None:
    """Work slopes out anew, and put what spans frames on their footing."""
    features = len(away)
    spread = evidence.unfolded(state.spread[slots], features).astype(np.float64)
    size = np.sqrt(np.einsum("nii->ni", spread))
    usual = np.abs(state.usual[slots])
    moves = size > LEAST * (1.0 + usual)
    scale = np.where(moves, size, LEAST * (1.0 + usual))
    matrix = spread / scale[:, :, None] / scale[:, None, :]
    matrix = matrix + RIDGE * np.eye(features)
    for pivot in range(features):
        matrix = evidence.swept(matrix, pivot)
    inverse = matrix / scale[:, :, None] / scale[:, None, :]
    cross = state.cross[slots].astype(np.float64)
    slopes = inverse[:, :, :1] * cross[:, :1]
    for one in range(1, features):
        slopes = slopes + inverse[:, :, one : one + 1] * cross[:, one : one + 1]
    # A held channel gives too few readings to tell what it follows.
    slopes = np.where(state.repeats[slots][:, None] > HELD_SHARE, 0.0, slopes)
    change = summed(turned(slopes - state.slopes[slots]) * away[:, None])
    state.motion[slots] -= change.T[:, None]
    state.slopes[slots] = slopes
    rows, columns = np.triu_indices(features)
    state.inverse[slots] = inverse[:, rows, columns]
    settings = np.where(moves, state.path[slots] / scale, np.inf).min(axis=1)
    state.settings[slots, 0] = np.minimum(settings, 1e6)


def seed(state: ScorerState, priors: PriorVersions, slots: Ints) -> None:
    """Let devices that have learnt nothing of their context begin from what their cohort knows."""
    for slot in slots.tolist():
        prior = priors.priors[state.which[slot]]
        if state.slow.shape[1] and prior.taught[0] > 0 and state.taught[slot, 0] == 0:
            state.usual[slot], state.spread[slot] = prior.usual, prior.spread_of_context
            state.cross[slot], state.path[slot] = prior.cross, prior.path
            state.taught[slot] = prior.taught
            _refresh(state, np.array([slot]), np.zeros((len(prior.usual), 1)))
