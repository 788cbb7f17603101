"""Recorded files through the online scorer: reading them as they are found, scoring row by row.

Reading (`layout`, `times`, `recording`) knows nothing of scoring; `scoring` joins both. What a
score means is in `models.anomaly`.
"""

from models.scorefile.recording import FileRefused, Recording, opened
from models.scorefile.scoring import Request, Told, score_file

__all__ = ["FileRefused", "Recording", "Request", "Told", "opened", "score_file"]
