"""Print the fleet scorer's figures as JSON: python tests/benchmarks/bench_scorer.py."""

import json
import sys
from dataclasses import asdict

from models.bench import figures

if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(figures()), indent=2) + "\n")
