"""One edge node and its devices, as a host application sees them; no clock, no network.

A session begins with the edge node's birth and is taken in the order of its sequence numbers.
What comes too early is held for a moment. Once something is missing, nobody knows what later
messages mean, for a birth may be among the missing: the loss is recorded, the rest of the session
is not stored, and the edge node is asked for its births, with which a new session begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import wire
from foremend.errors import MalformedMessage
from ingest.sparkplug.channels import introduce
from ingest.sparkplug.device import Device
from ingest.sparkplug.naming import identifier
from ingest.sparkplug.outcome import Reason, Rebirth, Tally
from ingest.sparkplug.sequence import WINDOW, Order, place
from ingest.sparkplug.session import ROLL_CALL_MS, Patience, Session
from ingest.sparkplug.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.clock import Millis
    from ingest.sparkplug.outcome import Outcome
    from ingest.sparkplug.session import Heard, Ownership
    from ingest.sparkplug.topics import Node

MAX_DEVICES: Final = 1024
MAX_ASKED: Final = 8
"""Requests for births to an edge node that says nothing at all; some four minutes."""


@dataclass(slots=True, kw_only=True)
class EdgeNode:
    """One edge node."""

    node: Node
    ownership: Ownership
    reorder_ms: Millis
    lapse: Reason | None = None
    """Why readings since the last session may be missing; told at the next birth."""
    session: Session | None = None
    early: list[Heard] = field(default_factory=list)
    """What seems to belong to a session whose birth has not come yet."""
    wants: Reason | None = None
    """Why it is to be asked for its births."""
    patience: Patience = field(default_factory=Patience)
    asked: int = 0
    """Requests since it last said anything."""

    def hear(self, heard: Heard, out: Outcome) -> None:
        """Take one message."""
        self.asked = 0
        if heard.topic.kind is Kind.NBIRTH:
            self._node_birth(heard, out)
        elif heard.topic.kind is Kind.NDEATH:
            self._node_death(heard, out)
        elif heard.payload.seq is None:
            out.refuse(heard.arrival, "no_seq", "only the death of an edge node has no seq")
        else:
            self._numbered(heard, out)
        self._ask(heard.at_ms, out)

    def interrupted(self, now_ms: Millis, out: Outcome) -> None:
        """Take it that messages were missed, none knows how many."""
        if self.session is not None and self.session.broken_ms is None:
            self._break(self.session, Reason.NOT_LISTENING, 0, now_ms, out)

    def rejoined(self) -> None:
        """Ask again at once: what was asked before may have gone nowhere."""
        self.patience, self.asked = Patience(), 0

    def tick(self, now_ms: Millis, out: Outcome) -> None:
        """Let time pass: what is held is given up, births are asked for again."""
        session = self.session
        if session is not None:
            if any(now_ms - h.at_ms >= self.reorder_ms for h in session.held.values()):
                self._give_up(session, now_ms, out)
            self._call_roll(session, now_ms, out)
        if any(now_ms - h.at_ms >= self.reorder_ms for h in self.early):
            self._drop(len(self.early), out)
            self.early.clear()
        self._ask(now_ms, out)

    def _ask(self, now_ms: Millis, out: Outcome) -> None:
        if self.wants is None or self.asked >= MAX_ASKED:
            return
        if self.patience.ask(now_ms):
            self.asked += 1
            out.rebirths.append(Rebirth(node=self.node, reason=self.wants))

    def _numbered(self, heard: Heard, out: Outcome) -> None:
        session = self.session
        if session is None or session.broken_ms is not None:
            self._unexplained(heard, out)
            return
        if heard.sent_ms < session.born_ms:
            out.refuse(heard.arrival, "older_session", "sent before the edge node was born anew")
            return
        placed = place(session.awaited, heard.payload.seq or 0)
        if placed.order is Order.NEXT:
            self._take(session, heard, out)
            self._take_held(session, out)
        elif placed.order is Order.AHEAD:
            self._hold(session, placed.position, heard, out)
        elif heard.sent_ms > session.latest_ms:
            self._keep_early(heard, out)
        else:
            out.tally[Tally.DUPLICATE] += 1

    def _unexplained(self, heard: Heard, out: Outcome) -> None:
        """Ask at once, and keep the message in case its edge node's birth is on its way."""
        self.wants = self.wants or Reason.NO_BIRTH
        self._keep_early(heard, out)

    def _keep_early(self, heard: Heard, out: Outcome) -> None:
        self.early.append(heard)
        if len(self.early) > WINDOW:
            self.early.pop(0)
            self._drop(1, out)

    def _drop(self, count: int, out: Outcome) -> None:
        """Leave out what no birth explains; the next birth tells of it."""
        out.tally[Tally.UNEXPLAINED] += count
        self.lapse = self.lapse or Reason.NO_BIRTH
        self.wants = self.wants or Reason.NO_BIRTH

    def _hold(self, session: Session, position: int, heard: Heard, out: Outcome) -> None:
        session.held.setdefault(position, heard)
        if len(session.held) > WINDOW:
            self._give_up(session, heard.at_ms, out)

    def _take_held(self, session: Session, out: Outcome) -> None:
        while session.broken_ms is None and session.awaited in session.held:
            self._take(session, session.held.pop(session.awaited), out)

    def _take(self, session: Session, heard: Heard, out: Outcome) -> None:
        session.awaited += 1
        session.latest_ms = max(session.latest_ms, heard.sent_ms)
        kind, name = heard.topic.kind, heard.topic.device
        if kind is Kind.DBIRTH:
            self._introduce(session, heard, out)
            return
        device = session.devices.get(name)
        if device is None or not device.born:
            self._drop(1, out)
        elif kind is Kind.DDEATH:
            device.death(heard.at_ms, out)
        elif not device.data(heard.payload.metrics, heard.sent_ms, out):
            self.wants = Reason.UNKNOWN_METRIC

    def _node_birth(self, heard: Heard, out: Outcome) -> None:
        bd_seq, seq = heard.payload.bd_seq, heard.payload.seq
        if bd_seq is None or seq is None:
            out.refuse(heard.arrival, "no_bd_seq", "an edge node's birth must tell bdSeq and seq")
            self.wants = self.wants or Reason.BIRTH_REFUSED
            return
        before, boot = self.session, f"sp-{heard.sent_ms}-{bd_seq}"
        if before is not None and before.boot == boot:
            out.tally[Tally.DUPLICATE] += 1
            return
        if before is not None:
            self._close(before, heard, out)
        session = Session(
            boot=boot,
            bd_seq=bd_seq,
            born_ms=heard.sent_ms,
            heard_ms=heard.at_ms,
            awaited=seq + 1,
            lapse=self.lapse,
            missed={} if before is None else before.present(),
            latest_ms=heard.sent_ms,
        )
        self.session, self.lapse, self.wants = session, None, None
        self._introduce(session, heard, out)
        self._take_early(session, out)

    def _close(self, session: Session, birth: Heard, out: Outcome) -> None:
        """End a session: what was held for it is lost, what was sent since belongs to the next."""
        held = session.held
        session.held = {p: h for p, h in held.items() if not h.follows(birth.sent_ms)}
        self.early = [*(h for h in held.values() if h.follows(birth.sent_ms)), *self.early]
        if session.held:
            self._give_up(session, birth.at_ms, out)

    def _take_early(self, session: Session, out: Outcome) -> None:
        early, self.early = self.early, []
        for heard in early:
            if heard.follows(session.born_ms):
                self._numbered(heard, out)
            else:
                self._drop(1, out)

    def _introduce(self, session: Session, heard: Heard, out: Outcome) -> None:
        name, metrics = heard.topic.device, heard.payload.metrics
        try:
            known = introduce(metrics)
            device = session.devices.get(name) or self._new_device(session, name)
        except MalformedMessage as error:
            out.refuse(heard.arrival, error.reason, str(error))
            self.wants = Reason.BIRTH_REFUSED
            return
        is_new = name not in session.devices
        session.missed.pop(name, None)
        session.devices[name] = device
        device.birth(known, metrics, heard.sent_ms, out)
        device.status(online=True, now_ms=heard.at_ms, out=out)
        if is_new and session.lapse is not None and not session.is_settled(heard.at_ms):
            device.gap(session.lapse, 0, heard.sent_ms, out)

    def _new_device(self, session: Session, name: str | None) -> Device:
        if len(session.devices) >= MAX_DEVICES:
            raise MalformedMessage("too_many_devices", f"at most {MAX_DEVICES} an edge node")
        path = (self.node.group, self.node.node, *([] if name is None else [name]))
        address = wire.Address(tenant=self.ownership.tenant, device=identifier("/".join(path)))
        return Device.of_session(address, session.boot, session.born_ms, self.ownership.family)

    def _node_death(self, heard: Heard, out: Outcome) -> None:
        session, bd_seq = self.session, heard.payload.bd_seq
        if bd_seq is None:
            out.refuse(heard.arrival, "no_bd_seq", "a death must name its birth by bdSeq")
        elif session is None or session.bd_seq != bd_seq:
            out.tally[Tally.OLD_DEATH] += 1
        else:
            if session.held:
                self._give_up(session, heard.at_ms, out)
            _all_die(session.present(), heard.at_ms, out)
            self.session, self.wants = None, None

    def _call_roll(self, session: Session, now_ms: Millis, out: Outcome) -> None:
        """Say of devices whose births did not come in time that they are away."""
        if session.missed and session.is_settled(now_ms):
            _all_die(session.missed, now_ms, out)
            session.missed.clear()
        since_ms = session.broken_ms
        if since_ms is not None and now_ms - since_ms >= ROLL_CALL_MS:
            _all_die(session.present(), now_ms, out)

    def _give_up(self, session: Session, now_ms: Millis, out: Outcome) -> None:
        """Wait no longer for what is missing; what was held after it counts as lost with it."""
        lost = max(session.held) + 1 - session.awaited
        out.tally[Tally.UNEXPLAINED] += len(session.held)
        session.held.clear()
        self._break(session, Reason.SEQUENCE_GAP, lost, now_ms, out)

    def _break(
        self, session: Session, reason: Reason, lost: int, now_ms: Millis, out: Outcome
    ) -> None:
        session.broken_ms = now_ms
        session.held.clear()
        self.wants = reason
        out.tally[Tally.GAP] += 1
        for device in session.devices.values():
            if device.born:
                device.stale(now_ms, out)
                device.gap(reason, lost, now_ms, out)


def _all_die(devices: Mapping[str | None, Device], now_ms: Millis, out: Outcome) -> None:
    for device in devices.values():
        device.death(now_ms, out)
