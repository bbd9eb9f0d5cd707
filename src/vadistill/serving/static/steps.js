// @ts-check
// Where a camera stands between its address and alarms, and how much of what it needs is there.
import { hours, percent, span } from "./words.js";

export const ACTIVE = ["queued", "running"]; // states of a fit
// Counts that a model should have learned from at least: a hundred people for ten seconds each.
const SEEN = 1000;
const FILLED = 300; // seconds from which an hour of the day counts as covered

// Where each step stands; it is told from what is there, so no reload or restart loses it.
/** @type {(camera: Camera, learning: Learning, model: Model | null) => StepState[]} */
export const standing = (camera, learning, model) => {
  const modelled = camera.model !== "";
  const pictures = camera.status.frames > 0 || modelled;
  const drawn = camera.masks.length > 0 || camera.zones.length > 0;
  const fitting = learning.job !== null && ACTIVE.includes(learning.job.state);
  const collected = modelled || fitting || learning.seconds >= learning.advised;
  const learned = camera.level !== null && camera.level.source !== "training";
  return [
    pictures ? "done" : "now",
    drawn ? "done" : "open",
    collected ? "done" : pictures ? "now" : "later",
    modelled ? "done" : collected ? "now" : learning.seconds > 0 ? "open" : "later",
    !modelled ? "later" : model?.self_test ? "done" : "open",
    !modelled ? "later" : learned ? "done" : "now",
    !modelled ? "later" : camera.status.state !== "failed" ? "done" : "now",
  ];
};

// How much of what was seen there is, and how much is wanted.
/** @type {(learning: Learning) => { share: number, words: string }[]} */
export const gauges = ({ seconds, least, advised, objects, busy, looked, by_hour }) => {
  const covered = by_hour.map((s, hour) => (s >= FILLED ? hour : -1)).filter((hour) => hour >= 0);
  const wanted = seconds >= advised ? "enough" : seconds >= least
    ? `enough to try; ${hours(advised / 3600)} is better`
    : `from ${hours(least / 3600)} on a model can be tested, ${hours(advised / 3600)} is advised`;
  const moving = looked ? `, in ${percent(busy / looked)} of the pictures` : "";
  return [
    { share: seconds / advised, words: `Footage: ${span(seconds)} (${wanted})` },
    { share: objects / SEEN, words:
      `People and things, counted once a second: ${objects}${moving} (${objects >= SEEN ? "enough" : `at least ${SEEN} are advised`})` },
    { share: covered.length / 24, words:
      `Hours of the day covered: ${covered.length ? covered.join(", ") : "none yet"} (a model knows ` +
      "the light of the hours that it has seen; a whole day is best)" },
  ];
};
