"""Each thing that can be wrong with an installation gives one sentence that says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stack.checks import Broker, Database, Facts, Finding, Folder, Port, Programs, Verdict, diagnose
from stack.embedded.mqtt_probe import Answer

GIB = 1024**3
FOLDER = Folder(path=Path("/srv/var"), exists=True, owner=1000, mode=0o700, free=100 * GIB)
PROGRAMS = Programs(postgres="18", timescaledb="2.23", broker="nats-server")
SOUND = Facts(
    python=(3, 11),
    euid=1000,
    folder=FOLDER,
    programs=PROGRAMS,
    ports=(Port(number=8420, purpose="the console", free=True),),
)
CURRENT = Database(revision="0004", wanted="0004", timescaledb="2.23")


def bad(facts: Facts) -> list[Finding]:
    return [finding for finding in diagnose(facts) if finding.verdict is not Verdict.OK]


@pytest.mark.parametrize(
    "facts",
    [
        SOUND,
        replace(SOUND, euid=0),
        replace(SOUND, database=CURRENT, programs=Programs(postgres=None, broker="nats-server")),
        replace(SOUND, broker=Broker(address="mq:1883", answer=Answer.ACCEPTED)),
        replace(
            SOUND,
            folder=replace(FOLDER, used_by=7),
            ports=(Port(number=8420, purpose="the console", free=False),),
        ),
        replace(SOUND, folder=replace(FOLDER, exists=False, owner=None)),
    ],
    ids=["sound", "root", "given database", "given broker", "running", "before the first start"],
)
def test_a_sound_installation_has_nothing_to_complain_of(facts: Facts) -> None:
    assert bad(facts) == []


@pytest.mark.parametrize(
    ("facts", "subject", "verdict", "words"),
    [
        (replace(SOUND, python=(3, 9)), "python", Verdict.FAIL, "install Python 3.11 or newer"),
        (
            replace(SOUND, programs=replace(PROGRAMS, postgres=None, postgres_refusal="none")),
            "postgres",
            Verdict.FAIL,
            "none",
        ),
        (
            replace(SOUND, programs=replace(PROGRAMS, runs_as=65534, runs_in_place=False)),
            "postgres user",
            Verdict.WARN,
            "a copy is kept in /var/cache",
        ),
        (
            replace(SOUND, programs=replace(PROGRAMS, timescaledb=None)),
            "timescaledb",
            Verdict.WARN,
            "set FOREMEND_PG_BIN",
        ),
        (
            replace(SOUND, programs=replace(PROGRAMS, broker=None, broker_refusal="no broker")),
            "broker program",
            Verdict.FAIL,
            "no broker",
        ),
        (
            replace(SOUND, folder=replace(FOLDER, refusal="holds other files")),
            "data folder",
            Verdict.FAIL,
            "holds other files",
        ),
        (
            replace(SOUND, folder=replace(FOLDER, owner=0)),
            "data folder",
            Verdict.FAIL,
            "start as its owner",
        ),
        (
            replace(SOUND, folder=replace(FOLDER, mode=0o777)),
            "data folder",
            Verdict.WARN,
            "chmod go-w /srv/var",
        ),
        (replace(SOUND, folder=replace(FOLDER, free=GIB)), "disk", Verdict.WARN, "make room"),
        (replace(SOUND, folder=replace(FOLDER, free=1)), "disk", Verdict.FAIL, "free some space"),
        (
            replace(SOUND, database=replace(CURRENT, revision="0001")),
            "database",
            Verdict.FAIL,
            "stands at revision 0001; bring it to 0004",
        ),
        (
            replace(SOUND, database=replace(CURRENT, revision=None)),
            "database",
            Verdict.FAIL,
            "has no schema yet",
        ),
        (
            replace(SOUND, database=replace(CURRENT, refusal="no route")),
            "database",
            Verdict.FAIL,
            "no route; check FOREMEND_DATABASE_URL",
        ),
        (
            replace(SOUND, broker=Broker(address="mq:1883", answer=Answer.SILENCE)),
            "broker",
            Verdict.FAIL,
            "Nothing at mq:1883 answers",
        ),
        (
            replace(SOUND, broker=Broker(address="mq:1883", answer=Answer.NOT_ALLOWED)),
            "broker",
            Verdict.FAIL,
            "refuses our login",
        ),
        (
            replace(SOUND, ports=(Port(number=80, purpose="x", free=False, holder="web (pid 1)"),)),
            "port 80",
            Verdict.FAIL,
            "Taken by web (pid 1)",
        ),
    ],
)
def test_one_thing_wrong_is_one_finding(
    facts: Facts, subject: str, verdict: Verdict, words: str
) -> None:
    (finding,) = bad(facts)

    assert (finding.subject, finding.verdict) == (subject, verdict)
    assert words in finding.sentence
