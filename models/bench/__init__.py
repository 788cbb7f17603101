"""What the fleet scorer costs and what it finds, beside others in the same run.

`speed` needs no data. `nab` and `skab` score recorded files, the way `foremend score` does, and
`rivals` are the detectors that are run beside it.
"""

from models.bench.recorded import recorded
from models.bench.speed import Figures, figures

__all__ = ["Figures", "figures", "recorded"]
