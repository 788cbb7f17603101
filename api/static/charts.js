// Small multiples of one device's channels over one time axis, with what happened marked in each.

import uPlot from "./vendor/uPlot.esm.js";

const HOUR = 3_600_000;
const REFRESH_MS = 4000;
const HEIGHT = 132;
const SHORTEST_MS = 1000;
const NAMES = { Cel: "°C", "/min": "rpm", "{rpm}": "rpm", "1": "", "mm3/s": "mm³/s", "m3/h": "m³/h", "m/s2": "m/s²", By: "bytes" };

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// Midnight, in the reader's own zone, is labelled with its day, and what is closer than minutes with its second.
function moments(splits, step) {
  const clock = step < 60 ? EXACT : CLOCK;
  return splits.map((seconds) => {
    const at = new Date(seconds * 1000);
    return at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0 ? DAY.format(at) : clock.format(at);
  });
}

// What UCUM sets in braces only says what is counted, as the name does already.
const unitOf = (code) => NAMES[code] ?? code.replace(/\{[^}]*\}/, "");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    line: read("--accent"), grid: read("--line"), text: read("--faint"),
    anomaly: read("--watch-mark"), error: read("--alarm-mark"), part: read("--ok"), order: read("--order-mark"),
  };
}

function withAlpha(colour, alpha) {
  const hex = colour.replace("#", "");
  const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toLocaleString(undefined, { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4 });
}

// Alarms and their ends as spans; an alarm that has no end yet lasts to the right edge.
function spans(anomalies, end) {
  const found = [];
  let begun = null;
  for (const mark of anomalies) {
    const at = Date.parse(mark.ts) / 1000;
    if (mark.kind === "alarm" && begun === null) begun = at;
    if (mark.kind === "cleared" && begun !== null) { found.push([begun, at]); begun = null; }
  }
  if (begun !== null) found.push([begun, end]);
  return found;
}

function lines(marks, palette) {
  const events = marks.events
    .filter((event) => event.code === "part_replaced" || event.severity === "error" || event.severity === "critical" || event.severity === "warning")
    .map((event) => ({
      at: Date.parse(event.ts) / 1000,
      colour: event.code === "part_replaced" ? palette.part : palette.error,
      faint: event.code !== "part_replaced",
    }));
  const orders = marks.orders.map((order) => ({ at: Date.parse(order.opened_at) / 1000, colour: palette.order, faint: false }));
  return [...events, ...orders];
}

function marking(state, palette) {
  const ratio = window.devicePixelRatio || 1;
  return {
    hooks: {
      drawClear: [(plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        ctx.fillStyle = withAlpha(palette.anomaly, 0.16);
        for (const [from, to] of state.spans) {
          const left = Math.max(plot.valToPos(from, "x", true), bbox.left);
          const right = Math.min(plot.valToPos(to, "x", true), bbox.left + bbox.width);
          if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
        }
        ctx.restore();
      }],
      draw: [(plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        for (const line of state.lines) {
          const x = plot.valToPos(line.at, "x", true);
          if (x < bbox.left || x > bbox.left + bbox.width) continue;
          // Codes come in numbers: a short tick on top, so that they do not bury the readings.
          ctx.fillStyle = line.colour;
          ctx.fillRect(x - ratio, bbox.top, 2 * ratio, line.faint ? 8 * ratio : bbox.height);
          if (!line.faint) continue;
          ctx.fillStyle = withAlpha(line.colour, 0.18);
          ctx.fillRect(x - ratio / 2, bbox.top, ratio, bbox.height);
        }
        ctx.restore();
      }],
    },
  };
}

class Charts {
  constructor(root) {
    this.root = root;
    this.grid = root.querySelector(".grid");
    this.status = root.querySelector("[data-status]");
    this.hours = 48;
    this.state = { spans: [], lines: [] };
    this.plots = new Map();
    this.palette = colours();
    this.only = root.dataset.channels ? root.dataset.channels.split(",") : null;
    this.around = root.dataset.around ? Date.parse(root.dataset.around) : null;
    this.present = root.dataset.present ? Date.parse(root.dataset.present) : Infinity;
    this.names = JSON.parse(root.dataset.names || "{}");
    this.zoom = null;
    for (const button of root.querySelectorAll("[data-hours]")) {
      button.addEventListener("click", () => this.choose(button));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.palette = colours();
      this.clear();
      this.load();
    });
    new ResizeObserver(() => this.resize()).observe(this.grid);
  }

  choose(button) {
    this.zoom = null;
    this.chosen = true;
    this.press(button);
    this.load();
  }

  // What is dragged over is read again, as finely as it then can be; a double click goes back.
  look(from, to) {
    const zoom = from === null ? null : { from: Math.floor(from * 1000), to: Math.ceil(to * 1000) };
    if (zoom === null && this.zoom === null) return;
    if (zoom !== null && (zoom.to - zoom.from < SHORTEST_MS || this.near(zoom))) return;
    this.zoom = zoom;
    this.load();
  }

  // The charts select together, and each tells of it.
  near(zoom) {
    const room = (zoom.to - zoom.from) / 20;
    return this.zoom !== null && Math.abs(zoom.from - this.zoom.from) < room && Math.abs(zoom.to - this.zoom.to) < room;
  }

  address(what) {
    const query = new URLSearchParams({ timeline: this.root.dataset.timeline, points: "400" });
    if (this.zoom !== null) {
      query.set("from", new Date(this.zoom.from).toISOString());
      query.set("to", new Date(this.zoom.to).toISOString());
    } else if (this.around !== null) {
      query.set("from", new Date(this.around - 42 * HOUR).toISOString());
      query.set("to", new Date(Math.min(this.around + 24 * HOUR, this.present)).toISOString());
    } else if (this.now) {
      query.set("from", new Date(this.now - this.hours * HOUR).toISOString());
    }
    return `/api/v1/devices/${encodeURIComponent(this.root.dataset.device)}/${what}?${query}`;
  }

  async load() {
    const wanted = ["frames", "marks"].map(async (what) => {
      const answer = await fetch(this.address(what), { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      return answer.json();
    });
    try {
      const asked = this.zoom;
      const [frames, marks] = await Promise.all(wanted);
      if (asked !== this.zoom) return;
      const moved = this.now === undefined && this.hours !== 48;
      this.now = frames.now_ms;
      if (moved) { await this.load(); return; }
      if (this.fits(frames)) { await this.load(); return; }
      this.draw(frames, marks);
    } catch (error) {
      this.status.hidden = false;
      this.status.textContent = `Telemetry could not be read: ${error.message}`;
    }
  }

  // A device that is new is shown over the shortest span that holds all of it, until somebody chooses.
  fits(frames) {
    if (this.chosen || this.around !== null || this.zoom !== null || !frames.t_ms.length) return false;
    this.chosen = true;
    const age = (frames.now_ms - frames.t_ms[0]) / HOUR;
    const button = [...this.root.querySelectorAll("[data-hours]")].find((one) => Number(one.dataset.hours) >= age);
    if (!button || Number(button.dataset.hours) >= this.hours) return false;
    this.press(button);
    return true;
  }

  press(button) {
    this.hours = Number(button.dataset.hours);
    for (const other of this.root.querySelectorAll("[data-hours]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
  }

  draw(frames, marks) {
    const times = frames.t_ms.map((ms) => ms / 1000);
    this.status.hidden = times.length > 0;
    this.status.textContent = "No readings in this span of time.";
    this.state.spans = spans(marks.anomalies, frames.to_ms / 1000);
    this.state.lines = lines(marks, this.palette);
    this.window = [frames.from_ms / 1000, frames.to_ms / 1000];
    const channels = this.only
      ? this.only.map((name) => frames.channels.find((c) => c.name === name)).filter(Boolean) : frames.channels;
    const wanted = times.length ? channels : [];
    for (const channel of wanted) this.one(channel, times);
    if (!this.only && marks.health.t_ms.length) this.health(marks.health);
    for (const [name, held] of this.plots) {
      if (name !== "" && !wanted.some((channel) => channel.name === name)) { held.plot.destroy(); held.box.remove(); this.plots.delete(name); }
    }
  }

  health(health) {
    const times = health.t_ms.map((ms) => ms / 1000);
    this.put("", "anomaly score", "", [times, health.score, health.score, health.score], this.grid.firstChild);
  }

  one(channel, times) {
    this.put(channel.name, this.names[channel.name] ?? channel.name.replaceAll("_", " "), unitOf(channel.unit),
      [times, channel.hi, channel.lo, channel.mid], null, channel.kind === "state" ? 1 : 3);
  }

  // A mean of states is no state: of those the highest stands in the title.
  put(name, title, unit, data, before, told = 3) {
    const held = this.plots.get(name) ?? this.make(name, title, unit, data, before);
    held.plot.setData(data, false);
    held.plot.batch(() => {
      held.plot.setScale("x", { min: this.window[0], max: this.window[1] });
    });
    const last = data[told].findLast((value) => value !== null);
    held.latest = `${shown(last)}${unit ? ` ${unit}` : ""}`;
    held.output.textContent = held.latest;
  }

  make(name, title, unit, data, before) {
    const box = document.createElement("section");
    box.className = "chart";
    box.innerHTML = "<h3><span></span><output></output></h3><div></div>";
    box.querySelector("span").textContent = title;
    this.grid.insertBefore(box, before);
    const palette = this.palette;
    const axis = { stroke: palette.text, grid: { stroke: palette.grid, width: 1 }, ticks: { stroke: palette.grid, width: 1, size: 4 }, font: "11px Inter, system-ui, sans-serif" };
    const held = { box, output: box.querySelector("output"), latest: "" };
    const options = {
      width: Math.max(box.clientWidth - 22, 200),
      height: HEIGHT,
      padding: [8, 6, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: "telemetry" }, points: { size: 6 }, drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => { this.look(null, null); return null; } },
      },
      scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => padded(low, high) } },
      axes: [{ ...axis, size: 26, space: 64, values: (_, splits, place, space, step) => moments(splits, step) }, { ...axis, size: 48, space: 28, values: (_, splits) => splits.map(shown) }],
      series: [
        {},
        { stroke: "transparent", width: 0, points: { show: false } },
        { stroke: "transparent", width: 0, points: { show: false } },
        { stroke: palette.line, width: 1.4, points: { show: false } },
      ],
      bands: [{ series: [1, 2], fill: withAlpha(palette.line, 0.16) }],
      plugins: [marking(this.state, palette)],
      hooks: {
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          this.look(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
        }],
        setCursor: [(plot) => {
          const value = plot.cursor.idx === null || plot.cursor.idx === undefined ? undefined : plot.data[3][plot.cursor.idx];
          held.output.textContent = value === undefined || value === null ? held.latest : `${shown(value)}${unit ? ` ${unit}` : ""}`;
        }],
      },
    };
    held.plot = new uPlot(options, data, box.lastElementChild);
    this.plots.set(name, held);
    return held;
  }

  resize() {
    for (const { box, plot } of this.plots.values()) {
      const width = Math.max(box.clientWidth - 22, 200);
      if (Math.abs(width - plot.width) > 2) plot.setSize({ width, height: HEIGHT });
    }
  }

  clear() {
    for (const { plot, box } of this.plots.values()) { plot.destroy(); box.remove(); }
    this.plots.clear();
  }
}

function padded(low, high) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}

for (const root of document.querySelectorAll("[data-charts]")) {
  const charts = new Charts(root);
  charts.load();
  if (charts.around === null) setInterval(() => { if (!document.hidden && charts.zoom === null) charts.load(); }, REFRESH_MS);
}
