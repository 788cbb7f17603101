"""Ending tasks that run the code of others."""

from __future__ import annotations

import asyncio
from typing import Any, Final

MOST_CANCELS: Final = 10
CANCEL_S: Final = 1.0


async def end(task: asyncio.Task[Any]) -> bool:
    """Cancel a task until it has ended; False where it will not.

    Up to Python 3.11 `asyncio.wait_for`, which libraries use, may swallow being told once.
    """
    for _ in range(MOST_CANCELS):
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_S)
        if task.done():
            break
    if task.done() and not task.cancelled():
        # Asked for, so that asyncio does not report it as never retrieved.
        task.exception()
    return task.done()
