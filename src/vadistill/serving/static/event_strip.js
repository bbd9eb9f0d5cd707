// When the listed events were: one lane for each camera, time from left to right.
import { el, svg } from "./elements.js";
import { dayName, timeOfDay } from "./words.js";

const LANE = 18;
const FOOT = 20;
const STEPS = [
  60,
  300,
  900,
  3600,
  3 * 3600,
  6 * 3600,
  12 * 3600,
  86400,
  2 * 86400,
  7 * 86400,
  28 * 86400,
];

const tickWords = (t, step) => (step >= 86400 ? dayName(t) : timeOfDay(t).slice(0, 5));

// Gives a node; draw(events, since, until) fills it; chosen hears the id of an event pressed.
export const strip = (chosen, signal) => {
  const node = el("div.strip", { role: "group", "aria-label": "when the listed events were" });
  let last = null;
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
    const picture = svg(
      "svg",
      {
        width,
        height: height + FOOT,
        viewBox: `0 0 ${width} ${height + FOOT}`,
        "aria-hidden": "true",
      },
    );
    const step = STEPS.find((s) => length / s <= Math.max(
      2,
      (width - margin) / 90,
    )) ?? Math.ceil(length / 86400 / 4) * 86400;
    // Steps count from midnight here, not from midnight in Greenwich.
    const shift = -60 * new Date(1000 * left).getTimezoneOffset();
    for (let t = Math.ceil((left + shift) / step) * step - shift; t <= left + length; t += step) {
      picture.append(svg("line", { x1: x(t), x2: x(t), y1: 0, y2: height, class: "tick" }));
      const words = svg(
        "text",
        { x: Math.min(x(t), width - 22), y: height + 14, class: "tick-words" },
      );
      words.textContent = tickWords(t, step);
      picture.append(words);
    }
    cameras.forEach((camera, lane) => {
      const y = lane * LANE;
      picture.append(svg("line", { x1: 0, x2: width, y1: y + LANE, y2: y + LANE, class: "lane" }));
      for (const event of events.filter((e) => e.camera === camera)) {
        const at = x(event.start);
        const wide = Math.max(4, x(ended(event)) - at);
        const kind = event.state === "open" ? "open" : (event.verdict ?? "none");
        const title = svg("title");
        title.textContent = `${camera}, ${dayName(event.start)} ${timeOfDay(event.start)}`;
        const bar = svg(
          "rect",
          { x: at, y: y + 3, width: wide, height: LANE - 6, rx: 2, class: `bar ${kind}` },
          title,
        );
        bar.addEventListener("click", () => chosen(event.id));
        picture.append(bar);
      }
      const name = svg("text", { x: 6, y: y + LANE - 5, class: "lane-words" });
      const fits = Math.floor((margin - 12) / 7.2);
      name.textContent = camera.length > fits ? `${camera.slice(0, fits - 1)}…` : camera;
      picture.append(name);
    });
    node.append(picture);
  };
  const watcher = new ResizeObserver(() => {
    if (last && node.clientWidth !== Number(node.firstChild?.getAttribute("width"))) draw(...last);
  });
  watcher.observe(node);
  signal.addEventListener("abort", () => watcher.disconnect(), { once: true });
  return { node, draw };
};
