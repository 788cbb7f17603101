"""Models for scoring: out of the registry, and only where the signature fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foremend.db import connect
from models import registry, signing
from models.failure import FailureModel
from models.priors import PriorSet

if TYPE_CHECKING:
    from foremend.settings import Settings


class VerifiedModels:
    """Loads a version once, after its signature was checked against the trusted keys."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url.get_secret_value()
        self._keys = settings.trusted_keys_dir
        self._loaded: dict[str, FailureModel] = {}
        self._priors: dict[str, PriorSet] = {}

    def failure_model(self, version: str) -> FailureModel:
        """Load one.

        Raises:
            NotFound: no such version.
            SignatureRefused: nobody who is trusted signed it as it is.
            LibraryMismatch: it was made with other library versions.
        """
        if version not in self._loaded:
            self._loaded[version] = FailureModel.load(self._opened(version))
        return self._loaded[version]

    def priors(self, version: str) -> PriorSet:
        """Load a family's priors; raises as `failure_model` does."""
        if version not in self._priors:
            self._priors[version] = PriorSet.load(self._opened(version))
        return self._priors[version]

    def _opened(self, version: str) -> bytes:
        with connect(self._url, name="registry") as connection:
            record = registry.PostgresShelf(connection).get(version)
        return registry.opened(record, signing.trusted_keys(self._keys))
