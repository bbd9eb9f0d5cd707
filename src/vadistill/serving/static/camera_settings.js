// @ts-check
// What can be set of a camera: address, model, rates, and the level at which its events open.
import {
  attempt, back, button, dialog, el, field, form, heading, literal, NAME_HINT, nameInput,
  number, select, setHidden, toast,
} from "./elements.js";
import { get, patch, post, query, serverNow, soundModels } from "./server.js";
import { count, fixed, hours, score, short } from "./words.js";

// -- level ----------------------------------------------------------------------------------------

const rate = (perDay) =>
  perDay === 1 ? "1 false alarm a day" : `${short(perDay)} false alarms a day`;

/** @type {(level: Level | null) => string} */
export const opening = (level) => {
  if (!level) return "no level yet: events cannot open";
  const from = {
    training: "from the model's training footage",
    camera: `from ${hours(level.footage_hours)} of this camera`,
    fixed: "set by hand",
  }[level.source];
  return `events open at ${score(level.on)} and close below ${score(level.off)}, ${from}`;
};

/** @type {(level: Level | null) => string} */
export const levelWords = (level) => {
  const aim = !level || level.source === "fixed" ? "" : `, for ${rate(level.false_alarms_per_day)}`;
  return `${opening(level)}${aim}`;
};

// That a level's footage cannot tell so rare an alarm, as its note has it; '' where it can.
/** @type {(level: Level | null) => string} */
export const tooShort = (level) =>
  level?.extrapolated ? `too short to tell ${rate(level.false_alarms_per_day)}` : "";

// What keeps a level from being trusted.
/** @type {(level: Level | null) => string} */
export const caution = (level) =>
  level && (level.source === "training" || level.extrapolated) ? `The level is ${level.note}.` : "";

// The window that learns a camera's level anew; `done` hears the level.
/** @type {(camera: Camera, signal: AbortSignal, done?: (level: Level) => void) => void} */
export const calibrate = (camera, signal, done = () => {}) => {
  const before = camera.level;
  const usual = camera.false_alarms_per_day ?? before?.false_alarms_per_day ?? 1;
  const span = number(24, { autofocus: true, min: 0.1, max: 8760, required: true });
  const perDay = number(usual, { min: 0.001, required: true });
  const send = async (submit, place) => {
    const wanted = { hours: Number(span.value), false_alarms_per_day: Number(perDay.value) };
    const level = await attempt(submit, place, () =>
      post(`/api/cameras/${camera.name}/calibrate`, wanted, signal));
    if (!level) return;
    const was = before ? `, was ${score(before.on)}` : "";
    const note = caution(level) && el("p.soft", caution(level));
    place.replaceChildren(
      el("div.good", el("p", `Events open at ${score(level.on)}${was}.`), note || null));
    submit.replaceWith(button("Done", () => box.close(), { class: "primary" }));
    done(level);
  };
  const about =
    "The level is learned anew from this camera's scores. Only events that you marked as real " +
    "do not count as normal.";
  const unmarked = el("p.warning", { hidden: true });
  const countUnmarked = async () => {
    const since = serverNow() - 3600 * Number(span.value);
    const wanted = { camera: camera.name, verdict: "none", since, limit: 1 };
    const { total } = await get(`/api/events${query(wanted)}`, signal);
    const href = `#/events?camera=${camera.name}&verdict=none`;
    unmarked.replaceChildren(
      `${count(total, "unmarked event")} will count as normal. `,
      el("a", { href, onclick: () => box.close() }, "Look through them first"));
    setHidden(unmarked, !total);
  };
  const look = () => countUnmarked().catch(() => setHidden(unmarked, true));
  span.onchange = look;
  const fields = [
    el("p.soft", about),
    field("Footage to learn from, in hours up to now", span),
    unmarked,
    field("Wanted false alarms a day", perDay, "More of them also finds more."),
  ];
  const place = el("div", { "aria-live": "polite" });
  const box = dialog(
    `Calibrate ${camera.name}`, signal, form("form", "Calibrate", fields, send, place));
  look();
};

// -- address, model, rates ------------------------------------------------------------------------

// What a camera has where nothing is said.
export const DEFAULTS = {
  rtsp_transport: "tcp", fps: null, skip_idle: false, false_alarms_per_day: 1, frames_to_open: 3,
  seconds_to_close: 2, pre_roll: 5, record_hours: 0, masks: [], zones: [], only_zones: false,
  least_size: 0, event_hours: [], check_view: false,
};
// Hours that a camera keeps which has no model yet: what one is fitted from.
export const RECORDED = 12;
/** @type {(entry: keyof typeof DEFAULTS, words?: string) => string} */
const usually = (entry, words = "") => `${words} Default: ${DEFAULTS[entry]}.`.trim();

// The button that shows what an address gives, and where it shows it.
const tester = (source, transport, signal) => {
  const seen = el("div", { "aria-live": "polite" });
  const test = button("Test", async () => {
    const wanted = source.value.trim();
    if (!wanted) {
      source.focus();
      seen.replaceChildren(el("p.soft", "Type an address first."));
      return;
    }
    const found = await attempt(test, seen, () => {
      seen.replaceChildren(el("p.soft", "Connecting … this may take ten seconds."));
      const entry = { source: wanted, rtsp_transport: transport.value };
      return post("/api/cameras/test", entry, signal);
    });
    if (!found) return;
    const rate = found.fps ? `, ${fixed(found.fps, 1)} frames/s` : "";
    seen.replaceChildren(el("figure.test",
      el("img", { src: found.picture, alt: "picture of the camera" }),
      el("figcaption", `It works: ${found.width} × ${found.height}${rate}`)));
  });
  return [el("div.row", test), seen];
};

// The form of a camera's settings; `camera` is null for a new one.  `saved` hears the camera.
/** @type {(camera: Camera | null, models: Model[], signal: AbortSignal,
 *    saved: (camera: Camera) => void) => HTMLElement} */
export const cameraForm = (camera, models, signal, saved) => {
  const first = models[0]?.name ?? "";
  const now = camera ?? { ...DEFAULTS, name: "", source: "", model: first,
    record_hours: first ? DEFAULTS.record_hours : RECORDED };
  const name = nameInput();
  const example = "rtsp://user:password@192.168.1.20/stream";
  const placeholder = camera ? `unchanged: ${camera.source}` : example;
  const source = literal({ required: !camera, maxlength: 2000, placeholder });
  const systems = models.map((m) => [m.name, `${m.name} (${m.system})`]);
  const model = select([...systems, ["", "none yet: show and record only"]], now.model);
  const transport = select([["tcp", "TCP"], ["udp", "UDP"]], now.rtsp_transport);
  const fps = number(now.fps, { min: 0.1, max: 240, placeholder: "all" });
  const idle = el("input", { type: "checkbox", checked: now.skip_idle });
  const perDay = number(now.false_alarms_per_day, { min: 0.001, required: true });
  const open = number(now.frames_to_open, { min: 1, step: 1, required: true });
  const close = number(now.seconds_to_close, { min: 0, required: true });
  const before = number(now.pre_roll, { min: 0, max: 120, required: true });
  const record = number(now.record_hours, { min: 0, required: true });
  const check = el("input", { type: "checkbox", checked: now.check_view });
  const least = number(now.least_size, { min: 0, max: 1, required: true });
  const hours = literal({
    value: now.event_hours.join("; "), maxlength: 500, placeholder: "mon-fri 18:00-06:00; sat,sun 00:00-24:00",
  });
  model.onchange = () => {
    if (!model.value && Number(record.value) === 0) record.value = String(RECORDED);
  };
  const send = async (submit, place) => {
    const values = {
      model: model.value, rtsp_transport: transport.value,
      fps: fps.value === "" ? null : Number(fps.value), skip_idle: idle.checked,
      false_alarms_per_day: Number(perDay.value), frames_to_open: Number(open.value),
      seconds_to_close: Number(close.value), pre_roll: Number(before.value),
      record_hours: Number(record.value), check_view: check.checked, least_size: Number(least.value),
      event_hours: hours.value.split(";").map((span) => span.trim()).filter(Boolean),
    };
    const address = source.value.trim();
    if (address) Object.assign(values, { source: address });
    if (camera) {
      // A changed camera starts anew: what stays is not sent.
      for (const [entry, value] of Object.entries(values))
        if (JSON.stringify(camera[entry]) === JSON.stringify(value)) delete values[entry];
      if (!Object.keys(values).length) {
        place.replaceChildren(el("p.soft", { role: "status" }, "Nothing has changed."));
        return;
      }
    }
    const found = await attempt(submit, place, () =>
      camera
        ? patch(`/api/cameras/${camera.name}`, values, signal)
        : post("/api/cameras", { name: name.value.trim(), ...values }, signal));
    if (found) saved(found);
  };
  const addresses =
    "rtsp://…, http://… (MJPEG) or webcam:0. A password in it is kept on the server and " +
    "never shown. Files and folders are added in the settings file.";
  return form("form.settings", camera ? "Save changes" : "Save the camera", [
    camera ? null : field("Name", name, NAME_HINT),
    field("Address", source, addresses),
    ...tester(source, transport, signal),
    field("Model", model, "Without one the camera keeps footage, which one can be fitted from."),
    el("details", { open: camera !== null }, el("summary", "More settings"),
      field("RTSP over", transport, "UDP loses pictures; choose it where TCP does not work."),
      field("Frames scored a second, at most", fps, "Empty, the default: all."),
      field("Leave out pictures in which nothing moves", idle),
      field("Wanted false alarms a day", perDay,
        usually("false_alarms_per_day", "Decides at which score an event opens.")),
      field("Frames in a row that open an event", open, usually("frames_to_open")),
      field("Seconds below the level that close it", close, usually("seconds_to_close")),
      field("Seconds of picture before an event in its clip", before, usually("pre_roll")),
      field("Tell a dark, covered, frozen or moved camera, and open no events then", check),
      field("Least size of an object", least,
        usually("least_size", "The longer side of its box, as a share of the picture's height.")),
      field("Hours in which events may open", hours,
        "Of the server's clock, ';' between several. Empty, the default: always."),
      field("Hours of footage to keep for fitting models", record,
        usually("record_hours", "0: none is kept."))),
  ], send);
};

/** @type {Page} */
export const addPage = {
  title: "Add a camera",
  nav: "#/",
  async show(root, { signal }) {
    root.append(back("#/", "Cameras"), heading("Add a camera"));
    const models = await soundModels(signal);
    const saved = (camera) => {
      toast(`${camera.name} is saved and connecting`);
      location.hash = `#/cameras/${camera.name}${camera.model ? "" : "/learn"}`;
    };
    root.append(el("div.card.narrow", cameraForm(null, models, signal, saved)));
  },
};
