/** Charts of the last minutes, as SVG that the page draws itself. */

import { clock } from "./format.js";
import { element, setText, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 96;
const LONGEST_SECONDS = 300;
const SHORTEST_SECONDS = 60;
const STEPS = [1, 2, 2.5, 5, 10];
/** A longer time between two points is one at which nobody looked. */
const GAP_SECONDS = 7;

/** The least round number that is at least as large. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return STEPS.find((step) => step * power >= value * 0.999999) * power;
}

/**
 * A chart with a line, or an area of a stack, for each of its series.
 *
 * A series has a `name` in the points of the history, and a `label`.
 */
export class Chart {
  constructor({ title, series, format, stacked = false, least = 1 }) {
    Object.assign(this, { title, series, format, stacked, least });
    this.points = [];
    this.at = null;
    this.values = series.map(() => element("dd"));
    const legend = series.map(({ label }, index) => element("div", { class: `series-${index + 1}` },
      element("dt", {}, label), this.values[index]));
    this.marked = element("span", { class: "soft" });
    this.highest = element("span", { class: "highest" });
    this.begin = element("span");
    this.end = element("span", {}, "now");
    this.paths = series.map((_, index) => svg("path", { class: `${stacked ? "area" : "line"} series-${index + 1}` }));
    this.pointer = svg("line", { class: "pointer", y1: 0, y2: HEIGHT });
    const grid = [0, 0.5].map((share) =>
      svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * share, y2: HEIGHT * share }));
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      ...grid, ...this.paths, this.pointer);
    this.drawing.addEventListener("pointermove", (event) => this.#mark(event));
    this.drawing.addEventListener("pointerleave", () => this.#mark(null));
    this.element = element("figure", { class: "card chart" },
      element("figcaption", {}, element("h3", {}, title), this.marked),
      element("dl", { class: "legend" }, ...legend),
      element("div", { class: "plot" }, this.highest, this.drawing),
      element("div", { class: "axis soft", "aria-hidden": "true" }, this.begin, this.end));
  }

  /** Draw the points of a history, the last of which is now. */
  draw(points) {
    this.points = points;
    const last = points.at(-1);
    if (!last) return;
    const span = Math.min(LONGEST_SECONDS, Math.max(SHORTEST_SECONDS, last.at - points[0].at));
    this.first = last.at - span;
    this.scale = WIDTH / span;
    const tops = this.#tops();
    const most = roundUp(Math.max(this.least, ...tops.flat().filter(Number.isFinite)));
    setText(this.highest, this.format(most));
    setText(this.begin, span >= 120 ? `${Math.round(span / 60)} min ago` : `${Math.round(span)} s ago`);
    this.paths.forEach((path, index) => path.setAttribute("d", this.#path(tops, index, most)));
    const said = this.series.map(({ label, name }) => `${label} ${this.format(last[name])}`).join(", ");
    this.drawing.setAttribute("aria-label", `${this.title} of the last minutes; now: ${said}`);
    this.#showValues();
  }

  /** The heights of each series at each point; null where it is not known. */
  #tops() {
    const sums = this.points.map(() => 0);
    return this.series.map(({ name }) => this.points.map((point, index) => {
      const value = point[name] ?? null;
      if (!this.stacked || value === null) return value;
      sums[index] += value;
      return sums[index];
    }));
  }

  #path(tops, index, most) {
    const y = (value) => HEIGHT - (value / most) * (HEIGHT - 2) - 1;
    const below = (at) => (index && this.stacked ? tops[index - 1][at] ?? 0 : 0);
    const parts = [];
    for (const run of this.#runs(tops[index])) {
      const line = run.map((at) => `${this.#x(at)} ${y(tops[index][at]).toFixed(1)}`);
      const floor = run.toReversed().map((at) => `${this.#x(at)} ${y(below(at)).toFixed(1)}`);
      parts.push(`M${(this.stacked ? [...line, ...floor] : line).join("L")}${this.stacked ? "Z" : ""}`);
    }
    return parts.join("");
  }

  /** The points that one line connects, as lists of their indexes. */
  #runs(values) {
    const runs = [];
    let before = null;
    values.forEach((value, at) => {
      if (value === null || this.points[at].at < this.first) return;
      const isNew = before !== at - 1 || this.points[at].at - this.points[before].at > GAP_SECONDS;
      if (isNew) runs.push([at]);
      else runs.at(-1).push(at);
      before = at;
    });
    return runs;
  }

  #x(at) {
    return ((this.points[at].at - this.first) * this.scale).toFixed(1);
  }

  #mark(event) {
    if (event === null || !this.points.length) {
      this.at = null;
    } else {
      const box = this.drawing.getBoundingClientRect();
      this.at = this.first + ((event.clientX - box.left) / box.width) * (WIDTH / this.scale);
    }
    this.#showValues();
  }

  /** Show the values of the point under the pointer, else the newest ones. */
  #showValues() {
    const near = (one, other) => (Math.abs(other.at - this.at) < Math.abs(one.at - this.at) ? other : one);
    const shown = this.at === null ? this.points.at(-1) : this.points.reduce(near);
    this.series.forEach(({ name }, index) => setText(this.values[index], this.format(shown?.[name])));
    setText(this.marked, this.at === null ? "" : clock(shown.at));
    const x = this.at === null ? -10 : ((shown.at - this.first) * this.scale).toFixed(1);
    this.pointer.setAttribute("x1", x);
    this.pointer.setAttribute("x2", x);
  }
}
