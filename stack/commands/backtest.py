"""Backtests: what the models would have told of an engineer's own recordings."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stack.commands.terms import JsonOption, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.backtest_failures import Told

commands: Final = typer.Typer()
backtest: Final = typer.Typer(
    name="backtest",
    help="Judge models on recordings of your own, as if they had run then.",
    no_args_is_help=True,
)
commands.add_typer(backtest)

SeedOption = Annotated[int, typer.Option(help="the same seed gives the same predictions")]


@backtest.command()
def failures(
    *,
    telemetry: Annotated[Path, typer.Option(help="ts, device, one column per channel")],
    errors: Annotated[Path, typer.Option(help="ts, device, code")],
    maintenance: Annotated[Path, typer.Option(help="ts, device, component: parts replaced")],
    failures: Annotated[Path, typer.Option(help="ts, device, component: parts that failed")],
    machines: Annotated[Path | None, typer.Option(help="device, attributes")] = None,
    train_until: Annotated[str, typer.Option(help="learn what was known then")],
    judge_from: Annotated[str, typer.Option(help="judge what was told from then on")],
    judge_until: Annotated[
        str | None, typer.Option(help="until then; the end of the recording else")
    ] = None,
    judge_devices: Annotated[
        Path | None, typer.Option(help="judge these devices alone, and learn from the others")
    ] = None,
    horizon: Annotated[str, typer.Option(help="an order is right if its part fails in it")] = "24h",
    out: Annotated[Path | None, typer.Option(help="write the work orders here")] = None,
    seed: SeedOption = 7,
    as_json: JsonOption = False,
) -> None:
    """Open the work orders that a recorded fleet would have had, and judge them.

    Times are those at which a row became known. Telemetry may be hourly, daily or between.
    """
    from models import backtest_failures, backtest_figures, backtest_plots
    from models.backtest_files import write_orders
    from models.tables import times
    from models.tables.fleet import FleetFiles, read_devices, read_fleet

    horizon_h = seconds(horizon) / 3600.0
    task = backtest_failures.Task(
        train_until_ms=_instant(train_until, "--train-until"),
        judge_from_ms=_instant(judge_from, "--judge-from"),
        judge_until_ms=None if judge_until is None else _instant(judge_until, "--judge-until"),
        horizon_h=horizon_h,
        judged=frozenset() if judge_devices is None else read_devices(judge_devices),
        seed=seed,
    )
    files = FleetFiles(
        telemetry=telemetry,
        errors=errors,
        maintenance=maintenance,
        failures=failures,
        machines=machines,
    )
    with _progress("backtest") as progress:
        fleet = read_fleet(files, longest_step_ms=round(horizon_h * 3_600_000), progress=progress)
        told = backtest_failures.tell(fleet, task, progress=progress)
        figures = backtest_figures.figures(told) | backtest_plots.plots(told)
    if out is not None:
        write_orders(
            out, told.orders, lambda clock: times.told_like(fleet.time_form, fleet.instant(clock))
        )
    _print(figures, failure_lines(figures, told), as_json=as_json)


@backtest.command()
def rul(
    *,
    train: Annotated[Path, typer.Option(help="complete lives: C-MAPSS text, or device,cycle,...")],
    test: Annotated[Path, typer.Option(help="lives that have not ended")],
    truth: Annotated[Path | None, typer.Option(help="cycles truly left of each of them")] = None,
    usage: Annotated[
        str | None,
        typer.Option(help="column of use (hours, metres, travel) to tell life in, not cycles"),
    ] = None,
    cap: Annotated[
        float | None,
        typer.Option(help="up to so much left is told: 125 cycles, or .6 of a median life of use"),
    ] = None,
    bags: Annotated[
        int, typer.Option(help="forests to average, each of other devices", min=1)
    ] = 10,
    out: Annotated[Path | None, typer.Option(help="write P10, P50 and P90 here")] = None,
    seed: SeedOption = 7,
    as_json: JsonOption = False,
) -> None:
    """Tell the remaining life of devices from the complete lives of others, and judge it."""
    from models import backtest_rul
    from models.rul.files import read_lives, read_truth
    from models.rul.training import RulPlan

    lives, others = read_lives(train, usage), read_lives(test, usage)
    true = None if truth is None else read_truth(truth, others.devices)
    usual = RulPlan().cap if usage is None else lives.usual_cap()
    plan = RulPlan(cap=_positive(cap or usual), bags=bags, seed=seed)
    with _progress("backtest") as progress:
        told = backtest_rul.tell(lives, others, plan, progress=progress)
    figures = backtest_rul.figures(told, true, usage or backtest_rul.CYCLES)
    if out is not None:
        backtest_rul.write_rul(out, told)
    _print(figures, rul_lines(figures), as_json=as_json)


@commands.command()
def report(
    page: Annotated[Path, typer.Argument(help="the page to write")],
    *,
    figures: Annotated[Path, typer.Option(help="what a backtest printed with --json")],
) -> None:
    """Write a backtest's figures as one self-contained page with plots."""
    from foremend.errors import InputError
    from models import report as pages

    try:
        told = json.loads(figures.read_text(encoding="utf-8").strip().splitlines()[-1])
        text = pages.page(told)
    except OSError as error:
        raise InputError(figures, None, None, f"cannot be read ({error.strerror})") from error
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(figures, None, None, "holds no figures of a backtest") from error
    page.write_text(text, encoding="utf-8")
    typer.echo(f"report: {page}")


def rul_lines(figures: dict[str, Any]) -> list[str]:
    """Give a remaining-life backtest's figures as a person would read them."""
    unit, learnt = figures["unit"], figures["learnt_from_devices"]
    lines = [f"learnt from {learnt} lives, told up to {figures['cap']:g} {unit}"]
    if figures["abstained"]:
        least = f"intervals need {figures['least_devices']} complete lives and known channels"
        lines.append(f"abstained on {figures['abstained']} of {figures['devices']}: {least}")
    inside = figures["cross_validated"]
    if inside:
        held = f"P10 to P90 held {inside['coverage']:.3f}"
        lines.append(f"lives left out of training: RMSE {inside['rmse']:.2f}, {held}")
    if figures.get("rmse") is not None:
        simple = figures["mean_life_minus_age"]
        score, simple_score = (_number(one["score"], ".0f") for one in (figures, simple))
        lines += [
            f"test: RMSE {figures['rmse']:.2f}, NASA score {score}",
            f"test: P10 to P90 held {_share(figures['coverage'])}",
            f"test: mean width {figures['width']:.1f} {unit}",
            f"mean life less age: RMSE {simple['rmse']:.2f}, score {simple_score}",
        ]
    return lines


def failure_lines(figures: dict[str, Any], told: Told) -> list[str]:
    """Give a failure backtest's figures as a person would read them."""
    learnt = sum(figures["labelled_failures"].values())
    calibration = figures["calibration"]
    rows = [
        f"{each['mean_probability']:>8.3f}  {_share(each['failed'])}"
        for each in calibration["reliability"]
    ]
    return [
        f"learnt from {learnt} failures",
        f"judged {figures['devices_judged']} devices, orders for {told.task.horizon_h:g} h",
        *_orders_lines("foremend", figures),
        *_orders_lines("error-code lookup", figures["error_code_lookup"]),
        *_orders_lines("telemetry alone", figures["telemetry_alone"]),
        *(f"  {name}: {_counts(each)}" for name, each in figures["components"].items()),
        f"Brier score {_number(calibration['brier'], '.5f')}",
        f"Brier score of the base rate {_number(calibration['brier_of_base_rate'], '.5f')}",
        "probability told, and the share that failed:",
        *rows,
    ]


def _orders_lines(name: str, told: dict[str, Any]) -> list[str]:
    often = _number(told["false_per_100_machine_weeks"], ".2f")
    lead = f"{_number(told['lead_p10_h'], '.0f')}/{_number(told['median_lead_h'], '.0f')}"
    wrong, cut = told["wrong_components"], told["left_out"]
    return [
        f"{name}: precision {_share(told['precision'])}",
        f"  event recall {_share(told['event_recall'])}, lead p10/p50 {lead} h",
        f"  {wrong} wrong components, {often} false orders per 100 machine-weeks",
        *([f"  {cut} orders left out: the end cuts their horizon"] if cut else []),
    ]


def _share(told: dict[str, Any]) -> str:
    if not told["total"]:
        return "none to count"
    interval = f"95 % interval {told['low']:.3f}-{told['high']:.3f}"
    return f"{told['value']:.3f} ({told['hits']} of {told['total']}, {interval})"


def _counts(told: dict[str, Any]) -> str:
    return (
        f"{told['foreseen']} of {told['failures']} failures foreseen, "
        f"{told['true_orders']} of {told['work_orders']} orders true"
    )


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def _positive(cap: float) -> float:
    if not cap > 0:
        raise typer.BadParameter(f"--cap: {cap:g} leaves nothing to tell")
    return cap


def _instant(text: str, option: str) -> int:
    from models.tables import times

    try:
        return times.instant_ms(text)
    except times.NotATime as error:
        raise typer.BadParameter(f"{option}: {error}") from error


def _print(figures: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    for line in lines:
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(figures))


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show stages on the terminal, if there is one, and give what tells of them."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(f"{title}: {stage}", total=total)
            shown.update(tasks[stage], completed=done, total=total)

        yield report
