// The daemon's state each second and its events: /status/events.

import { Chart, bytes, duration, element } from "./chart.js";

const MOST_EVENTS = 200;

const state = document.getElementById("stream-state");
const log = document.getElementById("events");
const rows = document.querySelector("#services tbody");

const charts = {
  connections: new Chart("Open connections", String, 120),
  accepted: new Chart("Accepted connections", (rate) => `${rate.toFixed(1)}/s`, 120),
  refused: new Chart("Refused connections", (rate) => `${rate.toFixed(1)}/s`, 120),
  bytes_in: new Chart("Received", (rate) => `${bytes(rate)}/s`, 120),
  bytes_out: new Chart("Sent", (rate) => `${bytes(rate)}/s`, 120),
  lag: new Chart("Reactor lag", (seconds) => duration(seconds * 1e6), 120),
  memory: new Chart("Resident memory", bytes, 120),
  rtt: new Chart("Round trip, median", duration, 120),
  rtt_p95: new Chart("Round trip, 95th percentile", duration, 120),
};

document.getElementById("charts").replaceChildren(...Object.values(charts).map((chart) => chart.root));

function sum(services, key) {
  return services.reduce((total, service) => total + (service[key] ?? 0), 0);
}

/** Format seconds as days, hours and minutes. */
function seconds(count) {
  const minutes = Math.floor(count / 60);
  const parts = [
    [Math.floor(minutes / 1440), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ].filter(([value]) => value);
  return parts.length ? parts.map(([value, unit]) => `${value} ${unit}`).join(" ") : `${Math.floor(count)} s`;
}

const FORMATS = {
  ready: (value) => (value ? "yes" : "no"),
  uptime: seconds,
  configured: (moment) => moment.replace("T", " ").replace("Z", " UTC"),
};

let before;

function update({ status, services, rtt }) {
  const now = performance.now();
  const totals = Object.fromEntries(
    ["accepted", "refused", "bytes_in", "bytes_out"].map((key) => [key, sum(services, key)]),
  );
  charts.connections.add(status.connections);
  charts.lag.add(status.reactor_lag);
  charts.memory.add(status.memory);
  charts.rtt.add(rtt.median);
  charts.rtt_p95.add(rtt.p95);
  // a rate is unknown at the first sample and after a restart of the daemon
  if (before && before.started === status.started) {
    const seconds = (now - before.now) / 1000;
    for (const [key, total] of Object.entries(totals)) {
      if (total >= before.totals[key]) charts[key].add((total - before.totals[key]) / seconds);
    }
  }
  before = { now, totals, started: status.started };
  for (const place of document.querySelectorAll("[data-status]")) {
    const name = place.dataset.status;
    place.textContent = (FORMATS[name] ?? ((value) => String(value ?? "none")))(status[name]);
  }
  rows.replaceChildren(...services.map(row));
}

function row(service) {
  const reasons = Object.entries(service.refused_by)
    .map(([reason, count]) => `${reason} ${count}`);
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, service.name),
    element("td", {}, service.protocol),
    element("td", {}, service.state),
    element("td", { class: "number" }, String(service.connections)),
    element("td", { class: "number" }, String(service.accepted)),
    element("td", { class: "number" }, String(service.refused)),
    element("td", {}, reasons.join(", ")),
    element("td", {}, (service.listeners ?? []).join(", ")),
  );
}

function show(event) {
  const time = new Date(event.time).toLocaleTimeString();
  log.prepend(
    element(
      "li",
      { class: `level-${event.level}` },
      element("time", { datetime: event.time }, time),
      " ",
      element("code", {}, event.event ?? event.logger),
      " ",
      element("bdi", {}, event.message),
    ),
  );
  while (log.children.length > MOST_EVENTS) log.lastElementChild.remove();
}

const events = new EventSource("/status/events");
events.addEventListener("open", () => {
  state.textContent = "Live: one update a second.";
});
events.addEventListener("status", (event) => update(JSON.parse(event.data)));
events.addEventListener("log", (event) => JSON.parse(event.data).forEach(show));
events.addEventListener("error", () => {
  state.textContent =
    events.readyState === EventSource.CLOSED
      ? "The server refuses this stream now. Load the page again."
      : "The connection is lost; the browser tries again.";
});
