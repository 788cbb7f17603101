"""Ids of ours for names of theirs: never the same id for two names, and always the same one.

A Sparkplug name is nearly any UTF-8 and its parts stand between slashes; an id of ours has 64
letters, digits, `_` and `-`. Three kinds of ids, none of which can look like another:

- a name that is an id already, and holds no `--`, stands for itself;
- where parts between slashes are such ids, and none begins or ends in `-`, each slash becomes `--`;
- anything else becomes what is legible of it, `---`, and 16 hexadecimal digits of its hash.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from foremend.values import ID_PATTERN

_ID_SIZE: Final = 64
_HASH_DIGITS: Final = 16
_ILLEGIBLE: Final = re.compile(r"[^A-Za-z0-9]+")


def identifier(name: str) -> str:
    """Give the id that stands for a name.

    >>> identifier("Motor/Temperature")
    'Motor--Temperature'
    >>> identifier("Motor 1/Temp (°C)")
    'Motor_1_Temp_C---665102b7f731723a'
    """
    joined = name.replace("/", "--")
    if _is_plain(name.split("/")) and ID_PATTERN.match(joined):
        return joined
    digits = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=_HASH_DIGITS // 2)
    room = _ID_SIZE - _HASH_DIGITS - 3
    legible = _ILLEGIBLE.sub("_", name).strip("_")[:room].strip("_") or "x"
    return f"{legible}---{digits.hexdigest()}"


def _is_plain(parts: list[str]) -> bool:
    return all(
        part and "--" not in part and not part.startswith("-") and not part.endswith("-")
        for part in parts
    )


def original(name: str) -> str | None:
    """Give the name that an id stands for; None where only a hash of it is left.

    >>> original("plant--press--pump")
    'plant/press/pump'
    """
    return None if "---" in name else name.replace("--", "/")
