// Which events are listed: camera, time, mark.
import { el, field, options, setHidden } from "./elements.js";

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
export const bounds = (filter) => {
  if (filter.when === "dates") return { since: dayStart(filter.from), until: dayEnd(filter.to) };
  const seconds = SPANS[filter.when];
  return { since: seconds ? Math.floor(Date.now() / 1000 - seconds) : null, until: null };
};
export const fits = (event, filter) => {
  const { since, until } = bounds(filter);
  return (
    (!filter.camera || event.camera === filter.camera) &&
    (!filter.verdict || (event.verdict ?? "none") === filter.verdict) &&
    (since === null || event.start >= since) &&
    (until === null || event.start < until)
  );
};

export const filterBar = (filter, cameras, changed) => {
  const names = [...new Set([...cameras, ...(filter.camera ? [filter.camera] : [])])].sort();
  const camera = options(
    el("select"),
    [["", "all cameras"], ...names.map((n) => [n, n])],
    filter.camera ?? "",
  );
  const when = options(el("select"), WHEN, filter.when ?? "");
  const from = el("input", { type: "date", value: filter.from ?? "" });
  const to = el("input", { type: "date", value: filter.to ?? "" });
  const verdict = options(el("select"), VERDICT, filter.verdict ?? "");
  const days = el("div.row", {}, field("From", from), field("To", to));
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
