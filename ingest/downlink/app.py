"""The courier as a part of the gate's process."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import stamina

from foremend import keys
from foremend.db.listen import attend
from foremend.errors import Unavailable
from ingest.downlink.courier import LISTEN, Courier
from ingest.downlink.voice import MqttVoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foremend.settings import Settings

POLL_S: Final = 0.25
"""Answers come without a notice of their own."""


@contextmanager
def carrying(settings: Settings, stop: threading.Event) -> Iterator[None]:
    """Carry commands in a thread of its own while this lasts; should it die, `stop` is set.

    Raises:
        Unavailable: the broker did not come up within a minute.
    """
    url = settings.database_url.get_secret_value()
    folder = settings.data_dir / "keys"
    key = keys.local_key(folder, settings.command_keys_dir, keys.COMMANDS)
    failures: list[BaseException] = []
    with closing(MqttVoice(settings)) as voice:
        for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=60):
            with attempt:
                voice.start()
        work = Courier(voice, key).round

        def carry() -> None:
            try:
                attend(url, name="courier", listen=LISTEN, work=work, stop=stop, poll_s=POLL_S)
            except BaseException as error:  # noqa: BLE001 - whoever leaves raises it again
                failures.append(error)
            finally:
                stop.set()

        thread = threading.Thread(target=carry, name="courier")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
    if failures:
        raise failures[0]
