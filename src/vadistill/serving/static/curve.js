// @ts-check
// Score curves on canvas: bounded memory, redrawn at most ten times a second and only when seen.
import { el } from "./elements.js";
import { axisStep, Series } from "./series.js";
import { serverNow } from "./server.js";
import { clock, score, timeOfDay } from "./words.js";

const GAP = 3; // seconds without a score that break the line
const curves = new Set();
let timer = null;

// -- colours --------------------------------------------------------------------------------------

let palette = null;
const colours = () => {
  if (palette) return palette;
  const probe = document.body.appendChild(el("i", { hidden: true }));
  const found = {};
  for (const name of ["ink", "soft", "grid", "card", "c0", "c4", "mark"]) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return (palette = found);
};
export const recolour = () => {
  palette = null;
  for (const curve of curves) curve.dirty = true;
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

// -- the shared clock -----------------------------------------------------------------------------

const tick = () => {
  if (document.hidden) return;
  for (const curve of curves) if (curve.seen) curve.draw();
};
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries)
    if (entry.target.curve) entry.target.curve.seen = entry.isIntersecting;
}, { rootMargin: "100px" });
const resized = new ResizeObserver((entries) => {
  for (const entry of entries) entry.target.curve?.resize();
});

// -- the curve ------------------------------------------------------------------------------------

// span: seconds that are shown, ending now; null: everything, from 0 (a file).
export class Curve {
  constructor({ label, signal, span = 120, tall = false }) {
    const capacity = span === null ? 16384 : Math.min(131072, Math.max(4096, span * 64));
    this.series = new Series(capacity, span !== null);
    this.span = span;
    this.tall = tall;
    /** @type {Level | null} */
    this.level = null;
    /** @type {{ start: number, end: number | null }[]} */
    this.marks = [];
    this.seen = false;
    this.dirty = true;
    this.node = el("canvas.curve", { role: "img", "aria-label": label });
    if (tall) this.node.classList.add("tall");
    this.node.curve = this;
    this.pen = this.node.getContext("2d");
    this.pointer = null;
    this.drawnAt = 0;
    curves.add(this);
    watcher.observe(this.node);
    resized.observe(this.node);
    timer ??= setInterval(tick, 100);
    if (tall) {
      const move = (event) => {
        this.pointer = event.offsetX;
        this.dirty = true;
      };
      this.node.addEventListener("pointermove", move);
      this.node.addEventListener("pointerdown", move);
      this.node.addEventListener("pointerleave", () => {
        this.pointer = null;
        this.dirty = true;
      });
    }
    signal.addEventListener("abort", () => this.close(), { once: true });
  }

  close() {
    curves.delete(this);
    watcher.unobserve(this.node);
    resized.unobserve(this.node);
    this.node.curve = null;
    if (!curves.size) {
      clearInterval(timer);
      timer = null;
    }
  }

  add(points) {
    for (const [time, value] of points) this.series.push(time, value);
    this.dirty = true;
  }

  // Scores of the past, below the ones that came meanwhile.
  replace(times, values) {
    const later = [];
    const last = times.length ? times[times.length - 1] : -Infinity;
    for (let i = this.series.place(last); i < this.series.length; i++)
      later.push([this.series.times[i], this.series.values[i]]);
    this.series.length = 0;
    for (let i = 0; i < times.length; i++) this.series.push(times[i], values[i]);
    this.add(later);
  }

  setLevel(level) {
    const same = this.level?.on === level?.on && this.level?.off === level?.off;
    this.level = level;
    if (!same) this.dirty = true;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.node.clientWidth * ratio);
    const height = Math.round(this.node.clientHeight * ratio);
    if (!width || (width === this.node.width && height === this.node.height)) return;
    this.node.width = width;
    this.node.height = height;
    this.ratio = ratio;
    this.dirty = true;
    this.draw(); // a new size has emptied it
  }

  draw() {
    if (!this.node.clientWidth) return;
    if (!this.ratio) this.resize();
    const { series, pen, ratio } = this;
    const width = this.node.width / ratio;
    const foot = this.tall ? 18 : 0;
    const height = this.node.height / ratio - foot;
    const last = series.length ? series.times[series.length - 1] : 0;
    const end = this.span === null ? Math.max(last, 0.001) : serverNow();
    const length = this.span === null ? end : this.span;
    // A sliding curve moves less than a pixel most of the time.
    if (!this.dirty && Math.abs(end - this.drawnAt) < length / width) return;
    this.dirty = false;
    this.drawnAt = end;
    const start = end - length;
    const [low, high] = this.#range(series.place(start));
    const x = (time) => (width * (time - start)) / length;
    const y = (value) => height - 3 - ((height - 6) * (value - low)) / (high - low);
    const paint = colours();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height + foot);
    pen.font = `${this.tall ? 12 : 11}px system-ui, sans-serif`;
    for (const mark of this.marks) this.#band(mark, x, end, height, paint);
    if (foot) this.#axis(start, length, x, height, paint);
    if (this.level) this.#levels(y, width, paint);
    const line = this.#line(series.place(start), x, y);
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.strokeStyle = paint.c0;
    pen.stroke(line);
    if (this.level && this.level.on < high) {
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, width, Math.max(0, y(this.level.on)));
      pen.clip();
      pen.strokeStyle = paint.c4;
      pen.lineWidth = 2.2;
      pen.stroke(line);
      pen.restore();
    }
    if (this.level && this.tall) this.#levelWords(y, paint);
    if (!series.length) this.#nothing(width, height, paint);
    if (this.pointer !== null) this.#reading(start, length, width, height, paint);
  }

  #range(from) {
    let low = Infinity;
    let high = -Infinity;
    for (let i = from; i < this.series.length; i++) {
      const value = this.series.values[i];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (this.level) {
      low = Math.min(low, this.level.off);
      high = Math.max(high, this.level.on);
    }
    if (low > high) return [0, 1];
    const room = 0.08 * (high - low) || 0.5;
    return [low - room, high + room];
  }

  // One lowest and one highest point for each column of pixels, however many scores there are.
  #line(from, x, y) {
    const path = new Path2D();
    const { times, values, length } = this.series;
    const step = 1 / this.ratio;
    const gap = this.span === null ? Infinity : GAP;
    let i = Math.max(0, from - 1);
    let before = -Infinity;
    while (i < length) {
      const column = x(times[i]);
      let low = values[i];
      let high = values[i];
      let last = i;
      for (let j = i + 1; j < length && x(times[j]) - column < step; j++) {
        low = Math.min(low, values[j]);
        high = Math.max(high, values[j]);
        last = j;
      }
      if (times[i] - before > gap) path.moveTo(column, y(values[i]));
      path.lineTo(column, y(low));
      if (high > low) path.lineTo(column, y(high));
      if (last > i) path.lineTo(column, y(values[last]));
      before = times[last];
      i = last + 1;
    }
    return path;
  }

  #straight(x1, y1, x2, y2, colour) {
    this.pen.strokeStyle = colour;
    this.pen.lineWidth = 1;
    this.pen.beginPath();
    this.pen.moveTo(x1, y1);
    this.pen.lineTo(x2, y2);
    this.pen.stroke();
  }

  #levels(y, width, paint) {
    const { pen, level } = this;
    for (const [value, dashes, colour] of /** @type {[number, number[], string][]} */ ([
      [level.off, [2, 4], paint.soft],
      [level.on, [6, 4], paint.c4],
    ])) {
      pen.setLineDash(dashes);
      this.#straight(0, y(value), width, y(value), colour);
    }
    pen.setLineDash([]);
  }

  #levelWords(y, paint) {
    const { pen } = this;
    const words = `opens ${score(this.level.on)}`;
    const at = y(this.level.on);
    const foot = at < 16 ? at + 13 : at - 4;
    pen.textAlign = "left";
    pen.lineWidth = 4;
    pen.strokeStyle = paint.card;
    pen.strokeText(words, 4, foot);
    pen.fillStyle = paint.c4;
    pen.fillText(words, 4, foot);
  }

  #band(mark, x, end, height, paint) {
    const left = x(mark.start);
    this.pen.globalAlpha = 0.14;
    this.pen.fillStyle = paint.c4;
    this.pen.fillRect(left, 0, Math.max(2, x(mark.end ?? end) - left), height);
    this.pen.globalAlpha = 1;
  }

  #axis(start, length, x, height, paint) {
    const { pen } = this;
    const step = axisStep(length, Math.max(2, this.node.clientWidth / 110));
    pen.fillStyle = paint.soft;
    for (let t = Math.ceil(start / step) * step; t <= start + length; t += step) {
      const at = Math.round(x(t)) + 0.5;
      const words = this.span === null ? clock(t).replace(/\.0$/, "") : timeOfDay(t);
      const half = pen.measureText(words).width / 2;
      this.#straight(at, 0, at, height, paint.grid);
      pen.textAlign = "left";
      const left = Math.min(Math.max(0, at - half), this.node.clientWidth - 2 * half);
      pen.fillText(words, left, height + 14);
    }
  }

  #nothing(width, height, paint) {
    this.pen.fillStyle = paint.soft;
    this.pen.textAlign = "center";
    this.pen.fillText("no scores yet", width / 2, height / 2 + 4);
  }

  #reading(start, length, width, height, paint) {
    const { pen, series } = this;
    const time = start + (length * this.pointer) / width;
    const i = Math.min(series.place(time), series.length - 1);
    if (i < 0) return;
    const when = this.span === null ? clock(series.times[i]) : timeOfDay(series.times[i]);
    const words = `${when}  ${score(series.values[i])}`;
    this.#straight(this.pointer, 0, this.pointer, height, paint.ink);
    const wide = pen.measureText(words).width + 10;
    const left = Math.min(Math.max(0, this.pointer + 6), width - wide);
    pen.fillStyle = paint.card;
    pen.fillRect(left, 2, wide, 18);
    pen.fillStyle = paint.ink;
    pen.textAlign = "left";
    pen.fillText(words, left + 5, 15);
  }
}
