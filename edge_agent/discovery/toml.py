"""Values as TOML spells them; pure."""

from __future__ import annotations

import json


def spelt(value: str | float) -> str:
    r"""Spell a value in TOML, whose plain strings, numbers and truths are JSON's but for one sign.

    >>> spelt('OctoPrint "Lab 2"')
    '"OctoPrint \\"Lab 2\\""'
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
