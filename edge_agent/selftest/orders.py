"""The order `self_test` of any printer that has a bench, and what an interrupted one still owes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.selftest.careful import Careful
from edge_agent.selftest.owed import Owed
from edge_agent.selftest.plan import USUAL, Plan, chosen
from edge_agent.selftest.run import SelfTest
from foremend.errors import Unavailable
from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.downlink.decide import Phases
    from edge_agent.selftest.bench import Bench, Reading
    from foremend.clock import NowMs
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
SELF_TEST: Final = "self_test"
PHASES: Final[Phases] = frozenset({int(Phase.IDLE)})
AGAIN_S: Final = 2.0
"""Between two attempts to switch off what was left on."""


class SelfTests:
    """The self-tests of one printer; `read` gives what it shows now.

    >>> SelfTests(bench, read, folder / "printer.heaters", steady_ms=site.steady_ms)
    """

    def __init__(
        self,
        bench: Bench,
        read: Callable[[], Reading],
        note: Path,
        *,
        steady_ms: NowMs,
        plan: Plan = USUAL,
    ) -> None:
        self._owed = Owed(note)
        self._bench, self._read, self._plan = Careful(bench, self._owed), read, plan
        self._steady_ms = steady_ms
        self._only_one = asyncio.Lock()
        self._owing = asyncio.Event()

    async def run(self, args: Details) -> Details:
        """Run those of `tests`, all without it.

        Raises:
            CommandFailed: it names a test that there is not, the printer is not fit, or a job
                began.
            Unavailable: heater and fan could not be switched off yet.
        """
        try:
            tests = chosen(args.get("tests"))
        except ValueError as error:
            raise CommandFailed(
                f"self_test takes tests of fan, belt and heater: {error}"
            ) from error
        async with self._only_one:
            try:
                return await self._test(replace(self._plan, tests=tests)).run()
            finally:
                if self._owed.is_owed:
                    self._owing.set()

    def _test(self, plan: Plan) -> SelfTest:
        return SelfTest(
            self._bench,
            self._read,
            plan,
            pause=asyncio.sleep,
            now_s=lambda: self._steady_ms() / 1000,
        )

    async def settle(self) -> None:
        """Switch off what an interrupted test left on, once the printer is there; never ends."""
        if self._owed.is_owed:
            self._owing.set()
        while True:
            await self._owing.wait()
            async with self._only_one:
                if await self._is_settled():
                    self._owing.clear()
            await asyncio.sleep(AGAIN_S)

    async def _is_settled(self) -> bool:
        """Switch off, but not under a job, which has its own heat: once it is over.

        It is done once it was obeyed, also where the note cannot be struck out: else whatever an
        owner heats by hand would be switched off again and again.
        """
        if not self._read().fit:
            return False
        LOG.warning("what a self-test may have left on is switched off")
        try:
            await self._bench.off()
        except Unavailable as error:
            LOG.warning("it is tried again", extra={"error": str(error)})
            return False
        return True
