// What the console computes, without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Europe/Berlin";
globalThis.document = { addEventListener() {}, hidden: false };
const STATIC = "../../src/vadistill/serving/static";
const { bounds, fits, tickStep } = await import(`${STATIC}/event_filters.js`);
const { caution, levelWords, opening, tooShort } = await import(`${STATIC}/camera_settings.js`);
const { axisStep, Series } = await import(`${STATIC}/series.js`);
const { on, query, whenConnected } = await import(`${STATIC}/server.js`);
const { placeOf } = await import(`${STATIC}/polygons.js`);
const { problemOf } = await import(`${STATIC}/areas.js`);
const { gauges, standing } = await import(`${STATIC}/steps.js`);
const words = await import(`${STATIC}/words.js`);

const points = (series) => Array.from(series.times.subarray(0, series.length));

test("numbers keep as many digits as they need", () => {
  assert.deepEqual([0.12345, 3.14159, 42.42, 1234.5].map(words.score),
    ["0.123", "3.14", "42.4", "1235"]);
  assert.deepEqual([0.5, 9.87654, 1234.5, 3].map(words.short), ["0.5", "9.88", "1235", "3"]);
  for (const nothing of [null, undefined, NaN, Infinity])
    for (const of of [words.score, words.short, (n) => words.fixed(n, 1)])
      assert.equal(of(nothing), "–");
  assert.equal(words.fixed(9, 1), "9.0");
  assert.deepEqual([0, 0.001, 0.5, NaN].map(words.percent), ["0 %", "0.1 %", "50 %", "–"]);
  assert.deepEqual([10, 2.5e6, 3e7, 4.2e9].map(words.bytes),
    ["1 kB", "2.5 MB", "30 MB", "4.2 GB"]);
  assert.deepEqual([words.count(1, "event"), words.count(2, "event")], ["1 event", "2 events"]);
});

test("spans never show sixty of anything", () => {
  const seconds = [-1, 9.94, 9.96, 59.4, 59.6, 61, 119.7, 3599, 3599.6, 3600, 7199, 86399, 259200];
  assert.deepEqual(seconds.map(words.span), [
    "0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "1 min 01 s", "2 min 00 s", "59 min 59 s",
    "1 h 00 min", "1 h 00 min", "2 h 00 min", "24 h 00 min", "3 days",
  ]);
  assert.deepEqual([0, 59.97, 61.25, 3599.97, 3600].map(words.clock),
    ["00:00.0", "01:00.0", "01:01.3", "1:00:00.0", "1:00:00.0"]);
  assert.deepEqual([0.5, 3, 72].map(words.hours), ["30 min", "3 h", "3 days"]);
});

test("days are named by the calendar, not by hours that have passed", () => {
  const now = new Date();
  const at = (days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days).getTime();
  assert.equal(words.dayName(at(0) / 1000), "today");
  assert.equal(words.dayName(at(0) / 1000 - 1), "yesterday");
  assert.ok(!["today", "yesterday"].includes(words.dayName(at(-2) / 1000)));
});

test("a sliding series forgets its older half", () => {
  const series = new Series(4, true);
  for (let t = 1; t <= 5; t++) series.push(t, t);
  assert.deepEqual(points(series), [3, 4, 5]);
});

test("a whole series keeps the lowest and the highest of every four, in their order", () => {
  const series = new Series(8, false);
  [5, 1, 9, 5, 7, 2, 3, 4].forEach((value, t) => series.push(t, value));
  series.push(8, 0);
  assert.deepEqual(points(series), [1, 2, 4, 5, 8]);
  assert.deepEqual(Array.from(series.values.subarray(0, series.length)), [1, 9, 7, 2, 0]);
});

test("a series takes neither what is no number nor what is older", () => {
  const series = new Series(4, true);
  for (const [time, value] of [[1, 1], [2, null], [2, NaN], [1, 5], [0.5, 5], [3, 3]])
    series.push(time, value);
  assert.deepEqual(points(series), [1, 3]);
  assert.deepEqual([0, 1, 2, 3, 4].map((time) => series.place(time)), [0, 0, 1, 1, 2]);
});

test("steps of axes are round and few", () => {
  assert.deepEqual([axisStep(120, 6), axisStep(3600, 8), axisStep(1e6, 2)], [30, 600, 86400]);
  for (const length of [60, 5000, 1e5, 1e6, 1e8]) {
    assert.ok(length / tickStep(length, 7) <= 28);
    assert.equal(tickStep(length, 7) % 60, 0);
  }
  assert.deepEqual([tickStep(3600, 6), tickStep(86400, 8)], [900, 3 * 3600]);
});

test("filters by day include both days, whole, where clocks change, too", () => {
  const filter = { when: "dates", from: "2026-03-29", to: "2026-03-29" };
  const { since, until } = bounds(filter);
  assert.equal(until - since, 23 * 3600);
  const event = (start) => ({ camera: "door", verdict: null, start });
  assert.deepEqual([since - 1, since, until - 1, until].map((start) => fits(event(start), filter)),
    [false, true, true, false]);
  assert.deepEqual(bounds({ when: "dates" }), { since: null, until: null });
});

test("filters by span, camera and mark", () => {
  const now = Date.now() / 1000;
  const event = { camera: "door", verdict: "false", start: now - 7200 };
  assert.ok(fits(event, {}));
  assert.ok(fits(event, { when: "day", camera: "door", verdict: "false" }));
  for (const other of [{ when: "hour" }, { camera: "hall" }, { verdict: "real" },
    { verdict: "none" }])
    assert.ok(!fits(event, other), JSON.stringify(other));
  assert.ok(fits({ ...event, verdict: null }, { verdict: "none" }));
});

test("levels say where they come from, and what keeps them from being trusted", () => {
  const level = { on: 2, off: 1, source: "camera", footage_hours: 3, false_alarms_per_day: 1 };
  assert.equal(levelWords(level),
    "events open at 2.00 and close below 1.00, from 3 h of this camera, for 1 false alarm a day");
  assert.match(levelWords({ ...level, source: "fixed" }), /set by hand$/);
  assert.match(levelWords({ ...level, source: "training", false_alarms_per_day: 0.5 }),
    /training footage, for 0.5 false alarms a day$/);
  assert.equal(levelWords(null), "no level yet: events cannot open");
  assert.equal(caution(null), "");
  assert.equal(caution(level), "");
  const note = "from 3 hours of this camera, too short to tell 1 false alarm a day";
  assert.equal(caution({ ...level, source: "training", note: "from training footage" }),
    "The level is from training footage.");
  const short = { ...level, extrapolated: true, note };
  assert.equal(caution(short), `The level is ${note}.`);
  assert.equal(tooShort(null), "");
  assert.equal(tooShort(level), "");
  assert.ok(note.endsWith(`, ${tooShort(short)}`), "in the note's words");
  assert.equal(tooShort({ ...short, false_alarms_per_day: 0.5 }),
    "too short to tell 0.5 false alarms a day");
  assert.match(opening(short), /, from 3 h of this camera$/);
});

test("queries leave out what is not given", () => {
  assert.equal(query({ a: 0, b: "", c: null, d: undefined, e: "x y" }), "?a=0&e=x+y");
  assert.equal(query({ a: null }), "");
});

test("listeners end with their page", () => {
  const page = new AbortController();
  assert.throws(() => on("weather", () => {}, page.signal), TypeError);
  whenConnected(() => {}, page.signal);
  page.abort();
});

test("a new corner goes to the end of a growing shape, else into the nearest side", () => {
  const square = [[0, 0], [1, 0], [1, 1], [0, 1]];
  assert.equal(placeOf(square, [0.5, 0.1], true), 4);
  assert.deepEqual([[0.5, 0.1], [0.9, 0.5], [0.5, 0.9], [0.1, 0.5]].map(
    (point) => placeOf(square, point, false)), [1, 2, 3, 4]);
  assert.equal(placeOf([[0, 0], [1, 1]], [0, 0.1], false), 2);
});

test("shapes are told why they cannot be saved", () => {
  const corners = [[0, 0], [1, 0], [1, 1]];
  assert.equal(problemOf([{ name: null, corners }, { name: "a", corners }]), "");
  assert.match(problemOf([{ name: null, corners: corners.slice(1) }]), /three corners/);
  assert.match(problemOf([{ name: "A b", corners }]), /Small letters/);
  assert.match(problemOf([{ name: "a", corners }, { name: "a", corners }]), /same name/);
});

const nothing = {
  seconds: 0, least: 120, advised: 3600, by_hour: Array(24).fill(0), looked: 0, busy: 0, objects: 0,
  job: null,
};
const bare = { model: "", masks: [], zones: [], level: null, status: { frames: 0, state: "connecting" } };

test("a camera's place is told from what is there", () => {
  const at = (camera, learning, model = null) =>
    standing({ ...bare, ...camera }, { ...nothing, ...learning }, model).join(" ");
  const seen = { status: { frames: 9, state: "running" } };
  assert.equal(at({}, {}), "now open later later later later later");
  assert.equal(at(seen, {}), "done open now later later later later");
  assert.equal(at({ ...seen, masks: [[]] }, { seconds: 60 }), "done done now open later later later");
  assert.equal(at(seen, { seconds: 3600 }), "done open done now later later later");
  const fit = (state) => at(seen, { seconds: 60, job: { state } });
  assert.equal(fit("running"), "done open done now later later later");
  assert.equal(fit("failed"), "done open now open later later later");
  const model = { ...seen, model: "porch", level: { source: "training" } };
  assert.equal(at(model, {}), "done open done done open now done");
  const learned = { ...model, level: { source: "camera" } };
  assert.equal(at(learned, {}, { self_test: {} }), "done open done done done done done");
  // A camera that is lost for now, or dark, has not gone back.
  assert.equal(at({ ...learned, status: { frames: 0, state: "retrying" } }, {}, { self_test: {} }),
    "done open done done done done done");
});

test("what is collected is told with how much is enough", () => {
  const said = (learning) => gauges({ ...nothing, ...learning }).map(({ words }) => words);
  const [none, nobody, dark] = said({});
  assert.match(none, /Footage: 0.0 s \(from 2 min on a model can be tested, 1 h is advised\)/);
  assert.match(nobody, /counted once a second: 0 \(at least 1000 are advised\)/);
  assert.match(dark, /covered: none yet/);
  const by_hour = nothing.by_hour.map((_, hour) => (hour === 7 ? 3600 : hour === 8 ? 400 : 20));
  const some = { seconds: 4400, looked: 4000, busy: 1000, objects: 1500, by_hour };
  const [footage, people, hours] = said(some);
  assert.match(footage, /1 h 13 min \(enough\)/);
  assert.match(people, /: 1500, in 25 % of the pictures \(enough\)/);
  assert.match(hours, /covered: 7, 8 \(/);
  assert.match(said({ seconds: 300 })[0], /enough to try; 1 h is better/);
  assert.deepEqual(gauges({ ...nothing, ...some }).map(({ share }) => share),
    [4400 / 3600, 1.5, 2 / 24]);
});
