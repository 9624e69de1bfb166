// A small line chart that grows to the right, for values that arrive one by one.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 48;

/** Make an element with text and attributes. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class Chart {
  /**
   * @param {string} label names the value
   * @param {(value: number) => string} show formats a value with its unit
   * @param {number} points how many values fit
   */
  constructor(label, show, points = 60) {
    this.show = show;
    this.points = points;
    this.values = [];
    this.latest = element("output", {}, "-");
    this.range = element("span", { class: "chart-range" });
    this.line = shape("polyline", { class: "chart-line", fill: "none" });
    const drawing = shape("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      class: "chart-drawing",
    });
    drawing.append(this.line);
    this.root = element(
      "div",
      { class: "chart" },
      element("div", { class: "chart-head" }, element("span", { class: "chart-label" }, label), this.latest),
      drawing,
      this.range,
    );
  }

  /** Add a value; undefined or null leaves the chart as it is. */
  add(value) {
    if (value === undefined || value === null) return;
    this.values.push(value);
    if (this.values.length > this.points) this.values.shift();
    const most = Math.max(...this.values);
    const least = Math.min(...this.values);
    const step = WIDTH / (this.points - 1);
    const scale = most > least ? (HEIGHT - 8) / (most - least) : 0;
    const y = (each) => (scale ? HEIGHT - 4 - (each - least) * scale : HEIGHT / 2);
    this.line.setAttribute(
      "points",
      this.values.map((each, at) => `${(at * step).toFixed(1)},${y(each).toFixed(1)}`).join(" "),
    );
    this.latest.textContent = this.show(value);
    this.range.textContent = `${this.show(least)} to ${this.show(most)}`;
  }
}

/** Format microseconds. */
export function duration(microseconds) {
  if (microseconds < 1000) return `${Math.round(microseconds)} µs`;
  if (microseconds < 1e6) return `${(microseconds / 1000).toPrecision(3)} ms`;
  return `${(microseconds / 1e6).toPrecision(3)} s`;
}

/** Format bytes. */
export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}
