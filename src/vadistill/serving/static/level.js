// The level at which events open: in words, and the window that learns it anew.
import { post } from "./api.js";
import { attempt, button, dialog, el, field } from "./elements.js";
import { hours, score, short } from "./words.js";

const rate = (perDay) =>
  perDay === 1 ? "1 false alarm a day" : `${short(perDay)} false alarms a day`;

export const levelWords = (level) => {
  if (!level) return "no level yet: events cannot open";
  const from = {
    training: "from the model's training footage",
    camera: `from ${hours(level.footage_hours)} of this camera`,
    fixed: "set by hand",
  }[level.source];
  const aim = level.source === "fixed" ? "" : `, for ${rate(level.false_alarms_per_day)}`;
  return `events open at ${score(level.on)} and close below ${score(level.off)}, ${from}${aim}`;
};

// What keeps a level from being trusted.
export const caution = (level) => {
  if (level?.source === "training")
    return "Calibrate once this camera has seen some hours of normal footage.";
  if (!level?.extrapolated) return "";
  return (
    "The footage is shorter than the wanted time between false alarms: " +
    "the level lies beyond its highest scores."
  );
};

export const calibrate = (camera, signal, done = () => {}) => {
  const before = camera.level;
  const span = el(
    "input",
    {
      autofocus: true,
      type: "number",
      min: 0.1,
      max: 8760,
      step: "any",
      value: "24",
      required: true,
    },
  );
  const perDay = el("input", {
    type: "number", min: 0.001, step: "any", required: true,
    value: String(camera.false_alarms_per_day ?? before?.false_alarms_per_day ?? 1),
  });
  const place = el("div", { "aria-live": "polite" });
  const submit = el("button.primary", { type: "submit" }, "Calibrate");
  const form = el(
    "form",
    {},
    el(
      "p.soft",
      {},
      "The level is learned anew from this camera's scores. Events do not count as normal, " +
        "but for those that you marked as false alarms.",
    ),
    field("Footage to learn from, in hours up to now", span),
    field("Wanted false alarms a day", perDay, "More of them also finds more."),
    place,
    el("div.row.end", {}, submit),
  );
  form.onsubmit = async (event) => {
    event.preventDefault();
    const wanted = { hours: Number(span.value), false_alarms_per_day: Number(perDay.value) };
    const level = await attempt(submit, place, () =>
      post(`/api/cameras/${camera.name}/calibrate`, wanted, signal),
    );
    if (!level) return;
    const was = before ? `, was ${score(before.on)}` : "";
    place.replaceChildren(
      el("div.good", {}, el("p", {}, `Events open at ${score(level.on)}${was}.`),
        caution(level) ? el("p.soft", {}, caution(level)) : null),
    );
    submit.replaceWith(button("Done", () => box.close(), { class: "primary" }));
    done(level);
  };
  const box = dialog(`Calibrate ${camera.name}`, signal, form);
};
