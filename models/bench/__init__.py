"""What the models cost and what they find, beside others in the same run.

`figures` (speed) and `service_figures` need no data. `recorded` judges on public recordings, the
way `foremend score` and `foremend backtest` do; `rivals` are the detectors that are run beside.
"""

from models.bench.every import recorded
from models.bench.service import ServiceFigures, service_figures
from models.bench.speed import Figures, figures

__all__ = ["Figures", "ServiceFigures", "figures", "recorded", "service_figures"]
