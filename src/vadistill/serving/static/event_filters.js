// @ts-check
// Which events are listed: camera, time, mark; and when they were, one lane for each camera.
import { el, field, select, setHidden, svg } from "./elements.js";
import { dayName, timeOfDay } from "./words.js";

// -- filters --------------------------------------------------------------------------------------

const SPANS = { hour: 3600, day: 86400, week: 7 * 86400 };
const WHEN = [
  ["", "any time"],
  ["hour", "last hour"],
  ["day", "last 24 hours"],
  ["week", "last 7 days"],
  ["dates", "days …"],
];
const VERDICT = [
  ["", "any mark"],
  ["none", "not marked"],
  ["real", "real"],
  ["false", "false alarm"],
];

// Days are those of the browser's time zone; `to` is included.
const dayStart = (text) => (text ? new Date(`${text}T00:00`).getTime() / 1000 : null);
const dayEnd = (text) => {
  if (!text) return null;
  const date = new Date(`${text}T00:00`);
  date.setDate(date.getDate() + 1);
  return date.getTime() / 1000;
};
/** @type {(filter: EventFilter) => { since: number | null, until: number | null }} */
export const bounds = (filter) => {
  if (filter.when === "dates") return { since: dayStart(filter.from), until: dayEnd(filter.to) };
  const seconds = SPANS[filter.when];
  return { since: seconds ? Math.floor(Date.now() / 1000 - seconds) : null, until: null };
};
/** @type {(event: CameraEvent, filter: EventFilter) => boolean} */
export const fits = (event, filter) => {
  const { since, until } = bounds(filter);
  return (
    (!filter.camera || event.camera === filter.camera) &&
    (!filter.verdict || (event.verdict ?? "none") === filter.verdict) &&
    (since === null || event.start >= since) &&
    (until === null || event.start < until)
  );
};

/** @type {(filter: EventFilter, cameras: string[], changed: (filter: EventFilter) => void)
 *    => HTMLElement} */
export const filterBar = (filter, cameras, changed) => {
  const names = [...new Set([...cameras, ...(filter.camera ? [filter.camera] : [])])].sort();
  const all = [["", "all cameras"], ...names.map((n) => [n, n])];
  const camera = select(all, filter.camera ?? "");
  const when = select(WHEN, filter.when ?? "");
  const from = el("input", { type: "date", value: filter.from ?? "" });
  const to = el("input", { type: "date", value: filter.to ?? "" });
  const verdict = select(VERDICT, filter.verdict ?? "");
  const days = el("div.row", field("From", from), field("To", to));
  const tell = () => {
    const dates = when.value === "dates";
    setHidden(days, !dates);
    changed({
      camera: camera.value, when: when.value, verdict: verdict.value,
      from: dates ? from.value : "", to: dates ? to.value : "",
    });
  };
  for (const input of [camera, when, from, to, verdict]) input.onchange = tell;
  setHidden(days, when.value !== "dates");
  return el("form.filters", { "aria-label": "filters", onsubmit: (e) => e.preventDefault() },
    field("Camera", camera), field("When", when), days, field("Mark", verdict));
};

// -- when -----------------------------------------------------------------------------------------

const LANE = 18;
const FOOT = 20;
const HOUR = 3600;
const DAY = 24 * HOUR;
const STEPS = [
  60, 300, 900, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 28 * DAY,
];

// The step between the words below the lanes, of which there are at most `most` in `length`.
/** @type {(length: number, most: number) => number} */
export const tickStep = (length, most) =>
  STEPS.find((step) => length / step <= most) ?? Math.ceil(length / DAY / 4) * DAY;
const tickWords = (t, step) => (step >= DAY ? dayName(t) : timeOfDay(t).slice(0, 5));

// Gives a node; draw(events, since, until) fills it; `press` hears the id of an event pressed.
/** @type {(press: (id: number) => void, signal: AbortSignal) => any} */
export const strip = (press, signal) => {
  const node = el("div.strip", { role: "group", "aria-label": "when the listed events were" });
  /** @type {[CameraEvent[], number | null, number | null]} */
  let last = null;
  /** @type {(events: CameraEvent[], since: number | null, until: number | null) => void} */
  const draw = (events, since, until) => {
    last = [events, since, until];
    node.replaceChildren();
    node.hidden = !events.length;
    const width = node.clientWidth;
    if (!events.length || !width) return;
    const cameras = [...new Set(events.map((e) => e.camera))].sort();
    const longest = Math.max(...cameras.map((name) => name.length));
    const margin = Math.min(12 + 7.5 * longest, 0.3 * width); // names of the lanes stand in it
    const now = Date.now() / 1000;
    const ended = (e) => (e.state === "open" ? now : (e.end ?? e.start));
    const from = since ?? Math.min(...events.map((e) => e.start));
    const to = Math.max(until ?? now, ...events.map(ended));
    const room = 0.01 * Math.max(60, to - from);
    const left = from - room;
    const length = to + room - left;
    const x = (t) => margin + ((width - margin) * (t - left)) / length;
    const height = cameras.length * LANE;
    const picture = svg("svg", {
      width, height: height + FOOT, viewBox: `0 0 ${width} ${height + FOOT}`, "aria-hidden": "true",
    });
    const step = tickStep(length, Math.max(2, (width - margin) / 90));
    // Steps count from midnight here, not from midnight in Greenwich.
    const shift = -60 * new Date(1000 * left).getTimezoneOffset();
    for (let t = Math.ceil((left + shift) / step) * step - shift; t <= left + length; t += step) {
      picture.append(svg("line", { x1: x(t), x2: x(t), y1: 0, y2: height, class: "tick" }));
      const at = Math.min(x(t), width - 22);
      const words = { x: at, y: height + 14, class: "tick-words" };
      picture.append(svg("text", words, tickWords(t, step)));
    }
    cameras.forEach((camera, lane) => {
      const y = lane * LANE;
      picture.append(svg("line", { x1: 0, x2: width, y1: y + LANE, y2: y + LANE, class: "lane" }));
      for (const event of events.filter((e) => e.camera === camera)) {
        const at = x(event.start);
        const wide = Math.max(4, x(ended(event)) - at);
        const kind = event.state === "open" ? "open" : (event.verdict ?? "none");
        const place = { x: at, y: y + 3, width: wide, height: LANE - 6, rx: 2 };
        const words = `${camera}, ${dayName(event.start)} ${timeOfDay(event.start)}`;
        const bar = svg("rect", { ...place, class: `bar ${kind}` }, svg("title", {}, words));
        bar.addEventListener("click", () => press(event.id));
        picture.append(bar);
      }
      const most = Math.floor((margin - 12) / 7.2);
      const name = camera.length > most ? `${camera.slice(0, most - 1)}…` : camera;
      picture.append(svg("text", { x: 6, y: y + LANE - 5, class: "lane-words" }, name));
    });
    node.append(picture);
  };
  const watcher = new ResizeObserver(() => {
    const drawn = Number(node.firstElementChild?.getAttribute("width"));
    if (last && node.clientWidth !== drawn) draw(...last);
  });
  watcher.observe(node);
  signal.addEventListener("abort", () => watcher.disconnect(), { once: true });
  return { node, draw };
};
