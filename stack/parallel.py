"""Where the fits of a training run: processes of this machine, or workers of a Dask cluster."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import joblib

from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client


class Backend(Enum):
    """Who works; what is learnt is the same to the last bit."""

    SEQUENTIAL = "sequential"
    LOKY = "loky"
    DASK = "dask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many work, and where; `cluster` is HOST:PORT of a Dask scheduler, else one is made."""

    backend: Backend = Backend.LOKY
    jobs: int = 2
    cluster: str | None = None
    patience_s: float = 10.0
    """How long a scheduler may take to answer."""


@contextmanager
def working(workers: Workers) -> Iterator[None]:
    """Let every joblib.Parallel inside the block run on these workers.

    Raises:
        ConfigurationError: Dask is not installed, or no scheduler answers.
    """
    with ExitStack() as stack:
        if workers.backend is Backend.DASK:
            client = stack.enter_context(_client(workers))
            stack.enter_context(joblib.parallel_config(backend="dask", client=client))
        else:
            stack.enter_context(
                joblib.parallel_config(backend=workers.backend.value, n_jobs=workers.jobs)
            )
        yield


@contextmanager
def _client(workers: Workers) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415 - slow to load, and optional
    except ImportError as error:
        raise ConfigurationError(
            "training with Dask needs the extra `cluster`: pip install 'foremend[cluster]'"
        ) from error
    with ExitStack() as stack:
        address: str | LocalCluster = f"tcp://{workers.cluster}"
        if workers.cluster is None:
            address = stack.enter_context(
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=workers.jobs,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                )
            )
        try:
            client = Client(address, timeout=workers.patience_s)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise ConfigurationError(
                f"no Dask scheduler answers at {workers.cluster}: {error}"
            ) from error
        yield stack.enter_context(client)
