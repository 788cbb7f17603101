"""Kinds of sources: found by entry point, so that one more needs no change here.

A distribution offers a kind as an entry point of the group `foremend.sources`, whose name is the
`kind` of a configuration and whose object is a `SourceKind`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge_agent.complaints import complaint
from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.site import Site
    from edge_agent.source import Source

GROUP: Final = "foremend.sources"
USUAL: Final = "lines"
"""The kind of a configuration that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """One kind of source: the form of its configuration, and how it is made of one."""

    config: type[msgspec.Struct]
    make: Callable[[Any, Site], Source]


def make_source(told: dict[str, Any], site: Site) -> Source:
    """Make the source that the table `[source]` describes; only its own code is imported.

    Raises:
        ConfigurationError: nothing offers the kind, or a setting is missing, unknown or wrong.
    """
    settings = dict(told)
    kind = find(settings.pop("kind", USUAL))
    if empty := [name for name, value in settings.items() if value == ""]:
        raise ConfigurationError(f"source.{empty[0]}: is empty; give it a value, or leave it out")
    try:
        config = msgspec.convert(settings, kind.config)
    except msgspec.ValidationError as error:
        raise ConfigurationError(complaint(error, kind.config, "source")) from error
    return kind.make(config, site)


def find(name: object) -> SourceKind:
    """Load the kind of this name.

    Raises:
        ConfigurationError: nothing that is installed offers it.
    """
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted(offered)) or "none: install foremend itself"
        raise ConfigurationError(f"source.kind: there is no {name!r}; installed are {known}")
    kind = offered[str(name)].load()
    assert isinstance(kind, SourceKind)  # noqa: S101 - what the group is for
    return kind
