"""The signature library: what field experience knows of failures before any label exists.

Data alone (`data/*.toml`, one file a family) map evidence to failure modes; the code reads, weighs
and explains it. What a model learnt from labels is `models.failure`'s; who speaks when is
`models.signatures.handover`'s.
"""

from models.signatures.library import Calibration, Library
from models.signatures.model import SignatureModel
from models.signatures.reading import read_library, shipped

__all__ = ["Calibration", "Library", "SignatureModel", "read_library", "shipped"]
