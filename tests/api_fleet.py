"""A plausible fleet to look at: `python -m tests.api_fleet RUNTIME_URL [TRUTH_FILE]`.

Fills a migrated database with two families of devices on a simulated timeline, four days of frames
and all that follows from four faults. Work orders are opened and moved by field service itself.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from field_service import application
from field_service.network import place, seed_network
from field_service.postgres import postgres_desk
from foremend.db import EVERY_TENANT, transaction
from foremend.wire import partition_of

TIMELINE = "sim:demo"
START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 96
STEP_S = 360
TENANT = "demo"

IDLE, HEATING, RUNNING, COOLING = 1, 2, 3, 4

PRINTER_CHANNELS = (
    # name, UCUM unit, component, value while idle, value while running, noise
    ("hotend_temp", "Cel", "hotend_thermistor", 24.0, 214.6, 0.25),
    ("hotend_power", "1", "hotend_heater", 0.0, 0.412, 0.012),
    ("bed_temp", "Cel", None, 23.5, 60.1, 0.12),
    ("hotend_fan_rpm", "/min", "hotend_fan", 0.0, 4890.0, 45.0),
    ("part_fan_rpm", "/min", "part_fan", 0.0, 5240.0, 80.0),
    ("flow", "mm3/s", "nozzle", 0.0, 7.9, 0.5),
    ("extruder_load", "%", "nozzle", 0.0, 31.0, 1.4),
    ("belt_x_hz", "Hz", "belt_x", 0.0, 110.2, 0.5),
    ("supply_v", "V", "psu", 24.09, 23.87, 0.02),
    ("chamber_temp", "Cel", None, 24.0, 38.2, 0.3),
)
MACHINE_CHANNELS = (
    ("speed", "/min", None, 0.0, 1482.0, 2.0),
    ("flow_rate", "m3/h", "impeller", 0.0, 41.8, 0.5),
    ("motor_current", "A", None, 0.0, 11.3, 0.12),
    ("vib_de", "mm/s", "bearing_de", 0.05, 1.42, 0.06),
    ("vib_nde", "mm/s", None, 0.05, 1.18, 0.05),
    ("band_bearing", "m/s2", "bearing_de", 0.02, 0.61, 0.04),
    ("bearing_temp", "Cel", "bearing_de", 24.0, 54.3, 0.4),
    ("discharge_pressure", "bar", "impeller", 0.0, 4.21, 0.03),
    ("filter_dp", "kPa", "filter", 0.0, 11.9, 0.3),
    ("seal_level", "%", "seal", 92.0, 92.0, 0.2),
)
PRINTER_PARTS = {
    "hotend_heater": ("heater", "heater_degradation"),
    "hotend_thermistor": ("thermistor", "thermistor_drift"),
    "nozzle": ("nozzle", "nozzle_clog"),
    "part_fan": ("fan", "fan_wear"),
    "hotend_fan": ("fan", "fan_wear"),
    "belt_x": ("belt", "belt_wear"),
    "psu": ("power_supply", "supply_sag"),
}
MACHINE_PARTS = {
    "bearing_de": ("bearing", "bearing_wear"),
    "coupling": ("coupling", "misalignment"),
    "impeller": ("impeller", "imbalance"),
    "seal": ("seal", "seal_leak"),
    "filter": ("filter", "clogged_filter"),
}
REGIONS = (
    ("north_america", "na-lakeside", "Lakeside print farm", "US"),
    ("europe", None, "Hafenstadt workshop", "DE"),
    ("china", None, "Riverside plant", "CN"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault that develops in one channel; hours from the timeline's start."""

    device: str
    component: str
    channel: str
    gain: float
    """What the channel's running value is multiplied by when the part fails."""
    onset_h: float
    due_h: float
    code: str
    alert_h: float
    probability: float
    moves: tuple[tuple[float, str, dict[str, Any]], ...] = ()
    """Hours, action and what comes with it."""


FAULTS = (
    Fault(
        device="printer-07",
        component="hotend_fan",
        channel="hotend_fan_rpm",
        gain=0.52,
        onset_h=58,
        due_h=99,
        code="hotend_fan_slow",
        alert_h=90,
        probability=0.93,
    ),
    Fault(
        device="printer-03",
        component="nozzle",
        channel="extruder_load",
        gain=2.1,
        onset_h=40,
        due_h=104,
        code="extruder_skip",
        alert_h=71,
        probability=0.88,
        moves=((74, "accept", {"assignee": "r.okafor"}), (75, "ship", {}), (79, "start", {})),
    ),
    Fault(
        device="machine-02",
        component="bearing_de",
        channel="band_bearing",
        gain=4.2,
        onset_h=20,
        due_h=74,
        code="bearing_warm",
        alert_h=60,
        probability=0.81,
        moves=(
            (62, "accept", {"assignee": "field-crew-2"}),
            (66, "start", {}),
            (68, "fit", {"as_found": "degraded", "note": "outer race pitted"}),
        ),
    ),
    Fault(
        device="printer-11",
        component="psu",
        channel="supply_v",
        gain=0.94,
        onset_h=66,
        due_h=108,
        code="under_voltage",
        alert_h=88,
        probability=0.71,
        moves=((91, "accept", {"assignee": "visit-desk"}),),
    ),
)


class Seeder:
    """Writes one fleet; every step is its own transaction."""

    def __init__(self, url: str, *, tenant: str = TENANT, step_s: int = STEP_S) -> None:
        self.connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self.tenant, self.step_s, self.hours = tenant, step_s, HOURS
        self.ids: dict[str, int] = {}
        self.schemas: dict[str, int] = {}
        self.rng = np.random.default_rng(7)

    def run(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        with transaction(self.connection, tenant=EVERY_TENANT):
            cursor = self.connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def timeline(self) -> None:
        self.run(
            "INSERT INTO timeline VALUES (%s, 'sim', %s) ON CONFLICT DO NOTHING", TIMELINE, START
        )
        end = START + (self.hours + 1) * HOUR
        self.run("SELECT ensure_frame_partitions(%s, %s)", START, end)
        with transaction(self.connection, tenant=EVERY_TENANT):
            seed_network(self.connection, self.tenant, at=START)

    def schema(self, family: str, channels: tuple[Any, ...]) -> None:
        listed = [
            {"name": n, "unit": u} | ({"component": c} if c else {})
            for n, u, c, _, _, _ in channels
        ]
        row = self.run(
            "INSERT INTO channel_schema (hash, channels) VALUES (%s, %s)"
            " ON CONFLICT (hash) DO UPDATE SET hash = excluded.hash RETURNING id",
            f"seed-{family}",
            Jsonb(listed),
        )
        self.schemas[family] = row[0]["id"]

    def device(self, name: str, family: str, index: int) -> None:
        model = "FDM-220" if family == "fdm_printer" else "MGP-15"
        row = self.run(
            "INSERT INTO device (tenant, timeline, name, partition, family, model, firmware,"
            " state, last_seen_at) VALUES (%s, %s, %s, %s, %s, %s, 'klipper-sim 1.0', 'online',"
            " now()) RETURNING id",
            self.tenant,
            TIMELINE,
            name,
            partition_of(name),
            family,
            model,
        )
        self.ids[name] = row[0]["id"]
        region, node, site, country = REGIONS[index % len(REGIONS)]
        with transaction(self.connection, tenant=EVERY_TENANT):
            place(
                self.connection,
                device_id=self.ids[name],
                region=region,
                org_node=node,
                site=site,
                country=country,
                at=START,
            )
        parts = PRINTER_PARTS if family == "fdm_printer" else MACHINE_PARTS
        for instance, (kind, _) in parts.items():
            installed = START - timedelta(hours=float(self.rng.uniform(50, 4000)))
            self.run(
                "INSERT INTO component VALUES (%s, %s, %s, %s, %s)",
                self.ids[name],
                instance,
                kind,
                f"{kind[:2].upper()}-{self.rng.integers(10_000, 99_999)}",
                installed,
            )

    def frames(self, name: str, family: str, channels: tuple[Any, ...]) -> None:
        boot = self.run(
            "INSERT INTO boot (device_id, name, booted_at, clock, schema_id, birth)"
            " VALUES (%s, 'b1', %s, 'trusted', %s, '') RETURNING id",
            self.ids[name],
            START,
            self.schemas[family],
        )[0]["id"]
        count = self.hours * 3600 // self.step_s
        hours = np.arange(count) * self.step_s / 3600
        phase = _phases(hours, family, self.rng)
        values = _values(name, hours, phase, channels, self.rng)
        columns = "device_id, ts, boot_id, seq, schema_id, phase, quality, batch_id, vals"
        with (
            transaction(self.connection, tenant=EVERY_TENANT),
            self.connection.cursor().copy(f"COPY frame ({columns}) FROM STDIN") as copy,
        ):
            for i in range(count):
                at = START + float(hours[i]) * HOUR
                row = (self.ids[name], at, boot, i, self.schemas[family], int(phase[i]), 0, 1)
                copy.write_row((*row, values[i].tolist()))
        last = START + float(hours[-1]) * HOUR
        self.run("UPDATE device SET last_frame_at = %s WHERE id = %s", last, self.ids[name])

    def health(self, name: str) -> None:
        fault = next((f for f in FAULTS if f.device == name), None)
        score = 2.0 + self.rng.gamma(2.0, 0.8, self.hours)
        hours = np.arange(1, self.hours + 1)
        if fault:
            grown = np.clip((hours - fault.onset_h) / (fault.due_h - fault.onset_h), 0, None)
            score = score + 26 * np.where(grown < 1.2, grown, 0) ** 2
        unusual = score > 14
        with transaction(self.connection, tenant=EVERY_TENANT):
            self.connection.cursor().executemany(
                "INSERT INTO health VALUES (%s, %s, %s, %s, %s, %s)",
                [
                    (
                        self.ids[name],
                        START + float(h) * HOUR,
                        float(s),
                        bool(u),
                        fault.channel if fault else None,
                        float(s) / 30,
                    )
                    for h, s, u in zip(hours, score, unusual, strict=True)
                ],
            )
        for index in np.flatnonzero(np.diff(np.concatenate([[0], unusual.astype(int)]))):
            self.run(
                "INSERT INTO anomaly (device_id, tenant, timeline, kind, ts, score, top_channel)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                self.ids[name],
                self.tenant,
                TIMELINE,
                "alarm" if unusual[index] else "cleared",
                START + float(hours[index]) * HOUR,
                float(score[index]),
                fault.channel if fault else None,
            )

    def hazards(self, name: str, family: str) -> None:
        parts = PRINTER_PARTS if family == "fdm_printer" else MACHINE_PARTS
        for instance, (_, mode) in parts.items():
            fault = next((f for f in FAULTS if (f.device, f.component) == (name, instance)), None)
            open_fault = fault is not None and not any(a == "fit" for _, a, _ in fault.moves)
            left = fault.due_h - self.hours + 2 if fault and open_fault else None
            probability = fault.probability if fault and open_fault else self.rng.beta(1, 60)
            self.run(
                "INSERT INTO component_hazard VALUES (%s, %s, %s, %s, %s, 24, %s, %s, %s,"
                " 'seed00000001', NULL)",
                self.ids[name],
                instance,
                mode,
                START + self.hours * HOUR,
                float(probability),
                *((left * 0.7, left * 1.1, left * 1.8) if left else (None, None, None)),
            )

    def foresee(self, fault: Fault) -> None:
        """Write what scoring and alerting would, and let field service open and move the order."""
        parts = PRINTER_PARTS | MACHINE_PARTS
        mode = parts[fault.component][1]
        at = START + fault.alert_h * HOUR
        left = fault.due_h - fault.alert_h
        reasons = _reasons(fault)
        quantiles = (left * 0.72, left * 1.02, left * 1.5)
        prediction = self.run(
            "INSERT INTO prediction (device_id, tenant, timeline, component, failure_mode, ts,"
            " above, probability, threshold, horizon_h, p10_h, p50_h, p90_h, reasons,"
            " model_version, handled_at) VALUES (%s, %s, %s, %s, %s, %s, true, %s, 0.5, 24,"
            " %s, %s, %s, %s, 'seed00000001', now()) RETURNING id",
            self.ids[fault.device],
            self.tenant,
            TIMELINE,
            fault.component,
            mode,
            at,
            fault.probability,
            *quantiles,
            Jsonb(reasons),
        )[0]["id"]
        alert = self.run(
            "INSERT INTO alert (tenant, timeline, region, device_id, kind, component,"
            " failure_mode, state, hits, opened_at, fired_at, updated_at, probability, horizon_h,"
            " p10_h, p50_h, p90_h, prediction_id, model_version, evidence)"
            " SELECT %s, %s, p.region, p.device_id, 'failure', %s, %s, 'firing', 2, %s, %s, %s,"
            " %s, 24, %s, %s, %s, %s, 'seed00000001', %s"
            " FROM placement p WHERE p.device_id = %s RETURNING id",
            self.tenant,
            TIMELINE,
            fault.component,
            mode,
            at - HOUR,
            at,
            at,
            fault.probability,
            *quantiles,
            prediction,
            Jsonb(reasons),
            self.ids[fault.device],
        )[0]["id"]
        for hours, action, reason in ((-1.0, "wait", "first_above"), (0.0, "fire", "confirmed")):
            self.run(
                "INSERT INTO alert_event (alert_id, tenant, at, wall_at, actor, action, reason)"
                " VALUES (%s, %s, %s, clock_timestamp(), 'alerting', %s, %s)",
                alert,
                self.tenant,
                at + hours * HOUR,
                action,
                reason,
            )
        self.work_order(fault)

    def work_order(self, fault: Fault) -> None:
        self.now(fault.alert_h)
        with transaction(self.connection, tenant=EVERY_TENANT):
            desk = postgres_desk(self.connection)
            alert = desk.inbox.next_alert()
            assert alert is not None
            order = application.open_from_alert(desk, alert)
            assert order is not None
        for hours, action, ask in fault.moves:
            self.now(hours)
            with transaction(self.connection, tenant=EVERY_TENANT):
                application.move(
                    postgres_desk(self.connection),
                    tenant=self.tenant,
                    number=order.number,
                    action=action,
                    actor=str(ask.get("assignee", "dispatch")),
                    ask=ask,
                )

    def inspection(self, device: str, hours: float) -> None:
        at = START + hours * HOUR
        alert = self.run(
            "INSERT INTO alert (tenant, timeline, region, device_id, kind, state, hits, opened_at,"
            " fired_at, updated_at, evidence) SELECT %s, %s, p.region, p.device_id, 'inspection',"
            " 'firing', 1, %s, %s, %s, '[]' FROM placement p WHERE p.device_id = %s RETURNING id",
            self.tenant,
            TIMELINE,
            at,
            at,
            at,
            self.ids[device],
        )[0]["id"]
        self.run(
            "INSERT INTO alert_event (alert_id, tenant, at, actor, action, reason)"
            " VALUES (%s, %s, %s, 'alerting', 'fire', 'confirmed')",
            alert,
            self.tenant,
            at,
        )

    def events(self, fault: Fault) -> None:
        boot = self.run("SELECT id FROM boot WHERE device_id = %s", self.ids[fault.device])[0]["id"]
        ends = next((h for h, action, _ in fault.moves if action == "fit"), min(fault.due_h, 96))
        marks = np.linspace(fault.onset_h + 0.6 * (ends - fault.onset_h), ends, 4, endpoint=False)
        rows = [(h, fault.code, "error", None) for h in marks]
        if any(action == "fit" for _, action, _ in fault.moves):
            rows.append((ends, "part_replaced", "info", fault.component))
        for number, (hours, code, severity, component) in enumerate(rows):
            self.run(
                "INSERT INTO event (device_id, boot_id, seq, ts, code, severity, component,"
                " batch_id) VALUES (%s, %s, %s, %s, %s, %s, %s, 1)",
                self.ids[fault.device],
                boot,
                100_000 + number,
                START + float(hours) * HOUR,
                code,
                severity,
                component,
            )

    def model(self, version: str, cohort: str, stage: str) -> None:
        meta = {
            "source": {"simulated": 300, "seed": 101},
            "since_ms": 1_767_229_200_000,
            "until_ms": 1_768_089_600_000,
            "metrics": {
                "later_slices": {
                    "precision": {
                        "value": 0.94, "low": 0.86, "high": 0.98, "hits": 62, "total": 66,
                    },
                    "event_recall": {
                        "value": 0.91, "low": 0.82, "high": 0.96, "hits": 62, "total": 68,
                    },
                    "median_lead_h": 13.8,
                    "false_per_100_machine_weeks": 2.1,
                },
                "calibration": {"slope": 0.97, "offset": -0.04},
            },
            "horizons_h": [6, 12, 24, 48],
            "code_version": "0.1.0",
            "libraries": {"scikit-learn": "1.7.2", "numpy": "2.4.6"},
        }  # fmt: skip
        self.run(
            "INSERT INTO model_version (version, kind, cohort, stage, sha256, artefact, kid,"
            " signature, meta, promoted_at) VALUES (%s, 'failure', %s, %s, %s, %s, 'local-1', '',"
            " %s, now())",
            version,
            cohort,
            stage,
            version * 5,
            b"x" * 180_000,
            Jsonb(meta),
        )

    def now(self, hours: float) -> None:
        self.run("UPDATE timeline SET now_at = %s WHERE name = %s", START + hours * HOUR, TIMELINE)


def _phases(hours: Any, family: str, rng: Any) -> Any:
    if family != "fdm_printer":
        return np.where((hours + rng.uniform(0, 24)) % 24 < 20, RUNNING, IDLE)
    at, phases = float(rng.uniform(0, 3)), np.full(len(hours), IDLE)
    while at < hours[-1]:
        job = float(rng.uniform(2.5, 9))
        for begin, end, phase in (
            (at, at + 0.15, HEATING),
            (at + 0.15, at + job, RUNNING),
            (at + job, at + job + 0.4, COOLING),
        ):
            phases[(hours >= begin) & (hours < end)] = phase
        at += job + float(rng.uniform(0.8, 3.0))
    return phases


def _values(name: str, hours: Any, phase: Any, channels: tuple[Any, ...], rng: Any) -> Any:
    share = np.select([phase == RUNNING, phase == HEATING, phase == COOLING], [1.0, 0.6, 0.35], 0.0)
    columns = []
    for channel, _, _, idle, running, noise in channels:
        unit = 1 + rng.normal(0, 0.012)
        level = idle + (running * unit - idle) * share
        for fault in FAULTS:
            if (fault.device, fault.channel) == (name, channel):
                fitted = next((h for h, a, _ in fault.moves if a == "fit"), None)
                grown = np.clip((hours - fault.onset_h) / (fault.due_h - fault.onset_h), 0, 1.1)
                grown = np.where(hours > (fitted or 1e9), 0.0, grown)
                level = level * (1 + (fault.gain - 1) * grown**1.6)
        daily = 0.4 * noise * np.sin(2 * np.pi * hours / 24)
        columns.append(level + daily + rng.normal(0, noise, len(hours)) * (0.3 + 0.7 * share))
    return np.round(np.stack(columns, axis=1), 4)


def _reasons(fault: Fault) -> list[dict[str, Any]]:
    channels = {c[0]: c for c in (*PRINTER_CHANNELS, *MACHINE_CHANNELS)}
    usual = channels[fault.channel][4]
    grown = (fault.alert_h - fault.onset_h) / (fault.due_h - fault.onset_h)
    now = usual * (1 + (fault.gain - 1) * grown**1.6)
    family = PRINTER_CHANNELS if fault.device.startswith("printer") else MACHINE_CHANNELS
    other = next(c for c in family if c[0] != fault.channel)
    return [
        {
            "kind": "channel_deviates",
            "subject": fault.channel,
            "weight": 0.74,
            "parameters": {
                "level": "short",
                "now": now,
                "usual": usual,
                "sigmas": 9.3 if now > usual else -9.3,
                "change_percent": 100 * (now - usual) / usual,
            },
        },
        {
            "kind": "error_code",
            "subject": fault.code,
            "weight": 0.41,
            "parameters": {"count_day": 3.0, "hours_ago": 1.6},
        },
        {
            "kind": "channel_deviates",
            "subject": other[0],
            "weight": 0.19,
            "parameters": {
                "level": "spread",
                "now": other[5] * 1.9,
                "usual": other[5],
                "sigmas": 2.4,
                "change_percent": 90.0,
            },
        },
        {
            "kind": "component_age",
            "subject": fault.component,
            "weight": 0.12,
            "parameters": {"age_h": 2870.0, "percentile": 71.0},
        },
    ]


def write_truth(file: Path) -> None:
    """Write the faults as a simulation would, and one that nothing foresaw."""
    parts = PRINTER_PARTS | MACHINE_PARTS
    start_ms = round(START.timestamp() * 1000)
    lines = [
        {
            "device": fault.device,
            "component": fault.component,
            "failure_mode": parts[fault.component][1],
            "onset_ms": start_ms + round(fault.onset_h * 3_600_000),
            "due_ms": start_ms + round(fault.due_h * 3_600_000),
            "failed_ms": None,
            "repaired_ms": next(
                (
                    start_ms + round(h * 3_600_000)
                    for h, action, _ in fault.moves
                    if action == "fit"
                ),
                None,
            ),
        }
        for fault in FAULTS
    ]
    lines.append(
        {
            "device": "printer-05",
            "component": "belt_x",
            "failure_mode": "belt_wear",
            "onset_ms": start_ms + 31 * 3_600_000,
            "due_ms": start_ms + 55 * 3_600_000,
            "failed_ms": start_ms + 55 * 3_600_000,
            "repaired_ms": start_ms + 58 * 3_600_000,
        }
    )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def seed(url: str, *, step_s: int = STEP_S) -> Seeder:
    """Fill the database at `url` (runtime role) and give what filled it."""
    seeder = Seeder(url, step_s=step_s)
    seeder.timeline()
    families = (
        ("fdm_printer", PRINTER_CHANNELS, [f"printer-{i:02d}" for i in range(1, 13)]),
        ("rotating_machine", MACHINE_CHANNELS, [f"machine-{i:02d}" for i in range(1, 5)]),
    )
    for family, channels, names in families:
        seeder.schema(family, channels)
        for index, name in enumerate(names):
            seeder.device(name, family, index)
            seeder.frames(name, family, channels)
            seeder.health(name)
            seeder.hazards(name, family)
    seeder.run(
        "UPDATE component_hazard SET probability = 'NaN', abstained = 'too_little_history'"
        " WHERE device_id = %s AND component = 'seal'",
        seeder.ids["machine-03"],
    )
    seeder.model("seed00000001", "fdm_printer", "champion")
    seeder.model("seed00000002", "rotating_machine", "champion")
    for fault in sorted(FAULTS, key=lambda f: f.alert_h):
        seeder.events(fault)
        seeder.foresee(fault)
    seeder.inspection("machine-04", 93.0)
    seeder.run("UPDATE device SET state = 'offline' WHERE name = 'printer-09'")
    seeder.now(HOURS)
    return seeder


def main() -> None:
    """Fill one database from the command line."""
    parser = argparse.ArgumentParser(description="fill a migrated database with a plausible fleet")
    parser.add_argument("url", help="postgresql:// URL of the runtime role")
    parser.add_argument("truth", nargs="?", type=Path, help="where to write the truth file")
    arguments = parser.parse_args()
    seed(arguments.url).connection.close()
    if arguments.truth:
        write_truth(arguments.truth)


if __name__ == "__main__":
    main()
