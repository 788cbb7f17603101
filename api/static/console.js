// Keeps a page fresh: times in the reader's own zone, and what has changed since it was loaded.

const MONTHS = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const FULL = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
});
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const SETTLE_MS = 400;
const SLOW_MS = 5000;

export function localize(root = document) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-done])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    element.textContent = element.dataset.form === "short"
      ? `${MONTHS.format(moment)} ${CLOCK.format(moment)}` : FULL.format(moment);
    element.title = EXACT.format(moment);
    element.dataset.done = "";
  }
  for (const mark of root.querySelectorAll("text[data-ms]")) {
    const moment = new Date(Number(mark.dataset.ms));
    mark.textContent = `${MONTHS.format(moment)} ${CLOCK.format(moment)}`;
  }
}

function autosubmit() {
  for (const form of document.querySelectorAll("form[data-autosubmit]")) {
    form.addEventListener("change", () => form.submit());
  }
}

// A form is sent once: a second click does nothing while the first is on its way.
function once() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  });
}

function busy(element) {
  const held = element.contains(document.activeElement)
    && document.activeElement.matches("input, select, textarea, summary");
  const open = element.querySelector("details[open]") !== null;
  const typed = [...element.querySelectorAll("input:not([type=hidden])")].some(
    (input) => input.type === "radio" ? input.checked : input.value !== input.defaultValue);
  return held || open || typed;
}

// Nothing that a person is filling in is replaced under their hands, and no list loses its place.
function guard() {
  document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
    const target = event.detail.target;
    if (!target || busy(target)) { event.detail.shouldSwap = false; return; }
    const story = target.querySelector(".story");
    if (story && story.scrollTop > 8) event.detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:oobAfterSwap", () => localize());
}

function showLive(on) {
  for (const mark of document.querySelectorAll(".live")) {
    mark.dataset.state = on ? "on" : "off";
    mark.lastElementChild.textContent = on ? "live" : "not live";
  }
}

function live(address) {
  let waiting = 0;
  const fresh = document.getElementById("fresh");
  const refresh = () => {
    if (waiting || document.hidden) return;
    waiting = setTimeout(() => {
      waiting = 0;
      if (fresh && window.htmx) window.htmx.trigger(fresh, "fm:changed");
    }, SETTLE_MS);
  };
  const source = new EventSource(address);
  source.addEventListener("hello", () => { showLive(true); refresh(); });
  source.addEventListener("error", () => showLive(false));
  for (const kind of ["prediction", "alert", "work_order", "resync"]) {
    source.addEventListener(kind, (event) => {
      refresh();
      document.body.dispatchEvent(new CustomEvent("fm:news", { detail: { kind, data: event.data } }));
    });
  }
  // Scores and ages move without news.
  setInterval(refresh, SLOW_MS);
  document.addEventListener("visibilitychange", refresh);
  window.addEventListener("pagehide", () => source.close());
}

// What was done is said once: a reload does not say it again.
function forgetDone() {
  const here = new URL(location.href);
  if (!here.searchParams.has("done")) return;
  here.searchParams.delete("done");
  history.replaceState(null, "", here);
}

localize();
forgetDone();
autosubmit();
once();
guard();
if (document.body.dataset.live) live(document.body.dataset.live);
