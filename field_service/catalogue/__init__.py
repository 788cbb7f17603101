"""The catalogue: failure mode -> resolution -> kit revision, and the regions' planning figures.

Data stand in the TOML files of this folder; the code only reads and checks them.
"""

from field_service.catalogue.loader import DEFAULT_REGION, Catalogue, load
from field_service.catalogue.schema import (
    Difficulty,
    Family,
    Kit,
    OldPart,
    Part,
    Prior,
    Region,
    Resolution,
    Safety,
)

__all__ = [
    "DEFAULT_REGION",
    "Catalogue",
    "Difficulty",
    "Family",
    "Kit",
    "OldPart",
    "Part",
    "Prior",
    "Region",
    "Resolution",
    "Safety",
    "load",
]
