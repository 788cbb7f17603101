"""One wave: look at it, judge it, decide, learn from it."""

import numpy as np

from models import calibration
from models.anomaly import evidence
from models.anomaly.judge import Judgement, judged, limited
from models.anomaly.learn import learn
from models.anomaly.spec import Bools, Floats, Ints, Scores
from models.anomaly.state import MEAN, ScorerState
from models.anomaly.versions import PriorVersions
from models.anomaly.view import Frames, Setting, View, viewed
from models.channelwise import turned_back

_UNKNOWN = np.float32(np.nan)


def step(state: ScorerState, priors: PriorVersions, setting: Setting, frames: Frames) -> Scores:
    """Score one wave and bring the state up to date."""
    view = viewed(state, priors, setting, frames)
    found = judged(state, priors, frames.slots, view)
    limits = limited(state, priors, setting.spec, frames.slots, found.tables)
    after, alarm = calibration.advance(
        setting.rule,
        _alarm_state(state, frames.slots),
        score=found.score,
        fresh=found.fresh,
        known=found.known,
        limits=limits,
        healthy=frames.healthy,
        ts_ms=frames.ts_ms,
    )
    learn(state, priors, frames, view, found, after, setting.spec)
    return _answer(view, found, limits.alarm, after, alarm)


def _answer(
    view: View, found: Judgement, threshold: Floats, after: calibration.AlarmState, alarm: Bools
) -> Scores:
    shares = evidence.shares(found.evidence.parts, found.log_tails)
    contributions = turned_back(shares * found.score.astype(np.float32))
    return Scores(
        score=found.score,
        known=found.known,
        threshold=threshold,
        anomalous=after.anomalous,
        announced=after.announced,
        alarm=alarm,
        top_channel=np.where(found.known, contributions.argmax(axis=1), -1),
        contributions=contributions,
        deviation=turned_back(np.where(view.known, found.trend[MEAN], _UNKNOWN)),
        baseline=turned_back(
            np.where(view.base.frames > 0, view.base.centre + view.light.shift, np.nan)
        ),
    )


def _alarm_state(state: ScorerState, slots: Ints) -> calibration.AlarmState:
    return calibration.AlarmState(
        anomalous=state.anomalous[slots],
        announced=state.announced[slots],
        calm=state.calm[slots].astype(np.int64),
        held=state.held[slots],
        last_alarm_ms=state.last_alarm[slots],
    )
