"""A backtest's figures as one self-contained page: inline SVG, no script, nothing fetched."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    Point = tuple[float, float]

WIDE, HIGH, MARGIN = 420, 260, 40
STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ccc;"
    "text-align:right}td:first-child,th:first-child{text-align:left}figure{display:inline-block;"
    "margin:.5rem}svg{background:#fafafa}figcaption{font-size:.9em;color:#444}"
)


def page(figures: dict[str, Any]) -> str:
    """Return the page of any backtest's figures, as its `--json` prints them."""
    body = _rul(figures) if "cross_validated" in figures else _failures(figures)
    head = f"<meta charset=utf-8><title>Backtest</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _failures(f: dict[str, Any]) -> list[str]:
    methods = {"foremend": f}
    methods |= {name: f[name] for name in ("error_code_lookup", "telemetry_alone") if name in f}
    rows = [[name, *_worth(told)] for name, told in methods.items()]
    bins = f["calibration"]["reliability"]
    told = [(b["mean_probability"], b["failed"]["value"]) for b in bins]
    burden = [b for b in f.get("burden", ()) if b["precision"] is not None]
    curve = sorted((b["false_per_100_machine_weeks"], b["precision"]) for b in burden)
    widest = max([x for x, _ in curve], default=1.0) or 1.0
    parts = [[name, *c.values()] for name, c in f["components"].items()]
    leads = [(float(each["hours"]), float(each["failures"])) for each in f.get("leads", ())]
    return [
        "<h1>Failures</h1>",
        table(
            ["", "precision", "event recall", "wrong components", "false / 100 machine-weeks"], rows
        ),
        figure("Reliability: probability told, share that failed", line(told, (1.0, 1.0))),
        figure("Lead: hours ahead, failures foreseen", bars(leads)),
        figure("Precision against false orders per 100 machine-weeks", line(curve, (widest, 1.0))),
        "<h2>Components</h2>",
        table(["component", "orders", "true", "failures", "foreseen"], parts),
        "<h2>Worst misses</h2>",
        *(_miss(each) for each in f.get("misses", ())),
        *(["<p>No failure was missed.</p>"] if not f.get("misses") else []),
    ]


def _worth(told: dict[str, Any]) -> list[str]:
    burden = told["false_per_100_machine_weeks"]
    return [
        _share(told["precision"]),
        _share(told["event_recall"]),
        str(told["wrong_components"]),
        "none" if burden is None else f"{burden:.2f}",
    ]


def _share(s: dict[str, Any]) -> str:
    if not s["total"]:
        return "none to count"
    return f"{s['value']:.3f} ({s['hits']}/{s['total']}; {s['low']:.3f}-{s['high']:.3f})"


def _miss(miss: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(miss["failed_ms"] / 1000, UTC).isoformat(sep=" ")
    highest = miss["highest_probability"]
    told = "nothing was told" if highest is None else f"at most {highest:.2f} was told"
    title = f"{miss['device']} {miss['component']}, failed {when}: {told}"
    shown = [
        figure(name, line(list(enumerate(known)), None))
        for name, values in miss["telemetry"].items()
        if (known := [float(v) for v in values if v is not None])
    ]
    return f"<h3>{escape(title)}</h3>{''.join(shown)}"


def _rul(f: dict[str, Any]) -> list[str]:
    scalars = [
        [name, _plain(value)] for name, value in f.items() if not isinstance(value, dict | list)
    ]
    nested = [
        [f"{name}: {key}", _plain(value)]
        for name, told in f.items()
        if isinstance(told, dict)
        for key, value in told.items()
    ]
    told = f.get("told", [])
    worst = sorted(told, key=lambda d: -abs(d["p50"] - min(d["truth"], f["cap"])))[:8]
    return [
        "<h1>Remaining life</h1>",
        table(["figure", ""], scalars + nested),
        figure(f"True {f.get('unit', 'cycles')} left, and P10 to P90 told", ranges(told, f["cap"])),
        "<h2>Worst misses</h2>",
        table(
            ["device", "truth", "P10", "P50", "P90"],
            [
                [d["device"], *(f"{d[k]:.1f}" for k in ("truth", "p10", "p50", "p90"))]
                for d in worst
            ],
        ),
    ]


def _plain(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; all texts are escaped."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{each}</tr>' for each in lines)}</table>"


def figure(caption: str, drawing: str) -> str:
    """Return a drawing with its caption."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def line(points: Sequence[Point], most: Point | None) -> str:
    """Return a line through points, axes from 0 to `most`, or over what the points span."""
    if not points:
        return _svg("")
    xs, ys = zip(*points, strict=True)
    low = (0.0, 0.0) if most else (float(min(xs)), float(min(ys)))
    top = most or (float(max(xs)), float(max(ys)))
    at = [
        (_place(x, low[0], top[0], WIDE), HIGH - _place(y, low[1], top[1], HIGH)) for x, y in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.5'/>" for x, y in at)
    drawn = f"<polyline points='{path}' fill='none' stroke='#06c' stroke-width='1.5'/>{dots}"
    return _svg(drawn + _axes(low, top))


def ranges(told: Sequence[dict[str, Any]], cap: float) -> str:
    """Return an upright line from P10 to P90 for each device, at its true life up to the cap."""
    drawn = ""
    for d in told:
        x = _place(min(d["truth"], cap), 0.0, cap, WIDE)
        low, middle, high = (HIGH - _place(d[q], 0.0, cap, HIGH) for q in ("p10", "p50", "p90"))
        drawn += (
            f"<path d='M{x:.1f},{low:.1f}V{high:.1f}' stroke='#9bd'/>"
            f"<circle cx='{x:.1f}' cy='{middle:.1f}' r='2' fill='#06c'/>"
        )
    ideal = f"<path d='M{MARGIN},{HIGH - MARGIN}L{WIDE - MARGIN},{MARGIN}' stroke='#888'/>"
    return _svg(drawn + ideal + _axes((0.0, 0.0), (cap, cap)))


def bars(counts: Sequence[Point]) -> str:
    """Return bars of counts at places, from 0 to the largest."""
    if not counts:
        return _svg("")
    top = (max(x for x, _ in counts) or 1.0, max(y for _, y in counts) or 1.0)
    thick = max(2.0, (WIDE - 2 * MARGIN) / (2 * len(counts)) - 2)
    drawn = ""
    for x, y in counts:
        left, height = _place(x, 0.0, top[0], WIDE), _place(y, 0.0, top[1], HIGH) - MARGIN
        drawn += (
            f"<rect x='{left - thick:.1f}' y='{HIGH - MARGIN - height:.1f}' "
            f"width='{thick:.1f}' height='{height:.1f}' fill='#06c'/>"
        )
    return _svg(drawn + _axes((0.0, 0.0), top))


def _place(value: float, low: float, top: float, size: int) -> float:
    share = (value - low) / (top - low) if top > low else 0.5
    return MARGIN + share * (size - 2 * MARGIN)


def _axes(low: Point, top: Point) -> str:
    base = HIGH - MARGIN
    frame = f"<path d='M{MARGIN},{MARGIN}V{base}H{WIDE - MARGIN}' fill='none' stroke='#888'/>"
    marks = (
        (MARGIN, base + 16, low[0], "start"),
        (WIDE - MARGIN, base + 16, top[0], "end"),
        (MARGIN - 4, base, low[1], "end"),
        (MARGIN - 4, MARGIN + 4, top[1], "end"),
    )
    return frame + "".join(
        f"<text x='{x}' y='{y}' font-size='11' text-anchor='{anchor}'>{value:.3g}</text>"
        for x, y, value, anchor in marks
    )


def _svg(inner: str) -> str:
    return f"<svg width='{WIDE}' height='{HIGH}' viewBox='0 0 {WIDE} {HIGH}'>{inner}</svg>"
