// The connection's TCP_INFO, each second for a minute: /live, as small charts in #live-charts.

import { Chart, bytes, duration, element } from "./chart.js";

const place = document.getElementById("live-charts");

const charts = {
  rtt: new Chart("Smoothed round trip (RTT)", duration),
  snd_cwnd: new Chart("Congestion window", (count) => `${count} segments`),
  delivery_rate: new Chart("Delivery rate", (rate) => `${bytes(rate)}/s`),
  total_retrans: new Chart("Retransmitted segments", String),
};

function watch() {
  const status = element("p", { role: "status", class: "live-status" }, "Connecting.");
  place.replaceChildren(status, ...Object.values(charts).map((chart) => chart.root));
  const events = new EventSource("/live");
  events.addEventListener("sample", (event) => {
    const sample = JSON.parse(event.data);
    status.textContent = `Connection from ${sample.peer}: one sample a second, for a minute.`;
    for (const [name, chart] of Object.entries(charts)) chart.add(sample[name]);
  });
  events.addEventListener("end", () => {
    events.close();
    const again = element("button", { type: "button" }, "Watch another minute");
    again.addEventListener("click", watch);
    status.replaceChildren("The minute is over. ", again);
  });
  events.addEventListener("error", () => {
    status.textContent =
      events.readyState === EventSource.CLOSED
        ? "The server does not send samples of this connection now."
        : "The connection is lost; the browser tries again.";
  });
}

if (place) watch();
