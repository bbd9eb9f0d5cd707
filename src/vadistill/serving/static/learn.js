// @ts-check
// From an address to alarms: where a camera stands on the way, and what comes next.
import { calibrate, caution, levelWords, RECORDED } from "./camera_settings.js";
import {
  attempt, back, button, el, every, field, form, heading, number, select, setClass, setHidden, setText, toast,
} from "./elements.js";
import { JobCard } from "./jobs.js";
import { follow } from "./pictures.js";
import { overlay } from "./polygons.js";
import { selfTest } from "./self_test.js";
import { get, on, patch, post } from "./server.js";
import { ACTIVE, gauges, standing } from "./steps.js";
import { muter, trouble, warning } from "./wall.js";
import { count, hours } from "./words.js";

const EVERY = 4000; // ms between looks at what is collected
const WORDS = { done: "done", now: "now", open: "if you like", later: "later" };

// One step: number, title, state, and what there is to see and do.
const step = (title, ...content) => {
  const badge = el("span.badge");
  const body = el("div", content);
  const node = el("li.card", el("div.head", el("h2", title), badge), body);
  return {
    node,
    /** @param {StepState} state */
    show(state) {
      setText(badge, WORDS[state]);
      node.dataset.state = badge.dataset.kind = state;
      setHidden(body, state === "later");
      if (state === "now") node.setAttribute("aria-current", "step");
      else node.removeAttribute("aria-current");
    },
  };
};

const meters = () => {
  const bars = [0, 1, 2].map(() => {
    const words = el("span");
    const bar = el("progress", { max: 1 });
    return { node: el("label.gauge", words, bar), words, bar };
  });
  return {
    nodes: bars.map((bar) => bar.node),
    /** @param {Learning} learning */
    show: (learning) => gauges(learning).forEach(({ share, words }, i) => {
      bars[i].bar.value = Math.min(1, share);
      setText(bars[i].words, words);
    }),
  };
};

// The button that fits a model for the camera, and the fit itself.
const fitter = (name, signal, started) => {
  const line = el("p.soft");
  const system = select([["auto", "auto: let the self-test choose"]]);
  let systems = [];
  const describe = () => setText(line, systems.find((s) => s.name === system.value)?.line ?? "");
  system.onchange = describe;
  const place = el("div");
  const job = el("div");
  /** @type {JobCard | null} */
  let card = null;
  let taken = [];
  const send = async (submit, trouble) => {
    let free = name;
    for (let n = 2; taken.includes(free); n += 1) free = `${name.slice(0, 36)}-${n}`;
    const footage = { camera: name, hours: 8760 };
    const wanted = { name: free, system: system.value, footage, use: true };
    const made = await attempt(submit, trouble, () => post("/api/models", wanted, signal));
    if (made) started(made);
  };
  const again = form("form", "Fit a model", [field("System", system), line], send, place);
  const fit = again.querySelector("button");
  const patience = el("p.soft", "It takes some minutes, and longer the more footage there is. The " +
    "camera gets the model by itself; this page need not stay open.");
  return {
    nodes: [job, patience, again],
    load(found) {
      systems = found.systems.filter((s) => s.supervision === "one-class");
      taken = found.models.map((m) => m.name);
      const chosen = system.value;
      system.replaceChildren(...systems.map((s) => el("option", { value: s.name }, s.name)));
      system.value = systems.some((s) => s.name === chosen) ? chosen : "auto";
      describe();
    },
    /** @param {ServerJob | null} now @param {boolean} modelled */
    show(now, modelled) {
      setText(fit, modelled ? "Fit again" : "Fit a model");
      setClass(fit, "primary", !modelled);
      const told = now !== null && now.state !== "done";
      if (told && card?.job.id !== now.id) {
        card = new JobCard(now, { signal, removed: () => job.replaceChildren() });
        job.replaceChildren(card.node);
      } else if (told) card.show(now);
      else {
        card = null;
        job.replaceChildren();
      }
      const active = now !== null && ACTIVE.includes(now.state);
      setHidden(again, active);
      setHidden(patience, !active);
    },
  };
};

// How many false alarms a day are wanted, and the level that was made for them.
const leveller = (camera, signal) => {
  const words = el("p");
  const note = el("p.soft");
  const wanted = number(camera().false_alarms_per_day, { min: 0.001, required: true });
  const send = async (submit, place) => {
    const values = { false_alarms_per_day: Number(wanted.value) };
    const path = `/api/cameras/${camera().name}`;
    if (await attempt(submit, place, () => patch(path, values, signal))) toast("The level is set");
  };
  return {
    nodes: [words, note, form("form", "Set", field("Wanted false alarms a day", wanted), send),
      el("div.row", button("calibrate", () => calibrate(camera(), signal)))],
    show({ level }) {
      setText(words, `${levelWords(level).replace(/^e/, "E")}.`);
      setText(note, caution(level));
    },
  };
};

/** @type {Page} */
export const page = {
  title: "Set up",
  nav: "#/",
  async show(root, { signal, part: name }) {
    /** @type {Camera} */
    let camera = await get(`/api/cameras/${name}`, signal);
    /** @type {Learning} */
    let learning = await get(`/api/cameras/${name}/learning`, signal);
    /** @type {Model | null} */
    let model = null;
    document.title = `Set up ${name} – vadistill`;

    const image = el("canvas", { role: "img", "aria-label": `picture of ${name}` });
    const over = el("p.over");
    const screen = el("div.picture", image, overlay(camera), over);
    follow(image, () => {
      const there = camera.model ? camera.score !== null : camera.status.frames > 0;
      return there ? `/api/cameras/${name}/picture.jpg` : null;
    }, signal);
    const shapes = el("p");
    const areas = el("a.button", { href: `#/cameras/${name}/areas` }, "draw masks and zones");
    const filled = meters();
    const kept = el("p");
    const place = el("div");
    const keep = button(`keep ${RECORDED} hours of footage`, async () => {
      const values = { record_hours: RECORDED };
      const now = await attempt(keep, place, () => patch(`/api/cameras/${name}`, values, signal));
      if (now) show(now);
    }, { class: "primary" });
    const fits = fitter(name, signal, (job) => look({ ...learning, job }));
    const why = el("p");
    const test = el("div");
    const level = leveller(() => camera, signal);
    const mute = muter(() => camera, signal);
    const watched = el("p");
    const unlike = warning();
    const steps = [
      step("Look at the picture", screen, el("p.soft", "Not what you want to watch? ",
        el("a", { href: `#/cameras/${name}` }, "Change the address"))),
      step("Mask what should not count", shapes, el("div.row", areas)),
      step("Collect normal footage", kept, ...filled.nodes, place, el("div.row", keep)),
      step("Fit a model", why, ...fits.nodes),
      step("See what it finds", test),
      step("Choose how many false alarms", ...level.nodes),
      step("Watch", watched, el("div.row",
        el("a.button.primary", { href: `#/cameras/${name}` }, "See the camera"),
        el("a.button", { href: "#/status" }, "Where alerts go"), mute.node)),
    ];

    const draw = () => {
      standing(camera, learning, model).forEach((state, i) => steps[i].show(state));
      const masks = count(camera.masks.length, "mask");
      setText(shapes, `${masks}, ${count(camera.zones.length, "zone")}. A mask hides what moves ` +
        "and means nothing, such as a tree, a road or a screen: it is neither learned from nor scored.");
      filled.show(learning);
      setText(kept, camera.record_hours
        ? `The last ${count(camera.record_hours, "hour")} are kept, on the server alone. Let ` +
          "everyday life go by, at the hours that shall be watched; this page need not stay open."
        : "Its footage is not kept.");
      setHidden(keep, camera.record_hours > 0);
      fits.show(learning.job, camera.model !== "");
      level.show(camera);
      unlike.show(camera);
      mute.show(camera);
      setText(watched, camera.event === null
        ? "It is scored, and nothing is out of the ordinary." : "An event goes on.");
      setText(over, trouble(camera.status));
      setHidden(over, camera.status.state === "running");
      const { width, height } = camera.status;
      if (width) screen.style.aspectRatio = `${width} / ${height}`;
    };
    const models = async () => {
      const found = await get("/api/models", signal);
      fits.load(found);
      model = found.models.find((m) => m.name === camera.model) ?? null;
      const choice = model?.choice ? ` Kept ${model.choice.kept}: ${model.choice.reason}.` : "";
      setText(why, model ? `The model is ${model.name} (${model.system}).${choice}`
        : "It learns what is normal from the footage above, less its events.");
      test.replaceChildren(model?.self_test ? selfTest(model.name, model.self_test)
        : el("p", "No self-test: a fit ends with one where there are " +
          `${hours(learning.least / 3600)} of footage or more.`));
      test.querySelector("details")?.setAttribute("open", "");
    };
    /** @param {Camera} now */
    const show = (now) => {
      const other = now.model !== camera.model;
      camera = now;
      draw();
      if (other) models().then(draw, () => {});
    };
    /** @param {Learning} now */
    const look = (now) => {
      learning = now;
      draw();
    };
    root.append(back("#/", "Cameras"), heading(`Set up ${name}`),
      el("p.soft", "From its address to alarms. Everything is kept: come back when you like."),
      unlike.node,
      el("ol.steps", steps.map(({ node }) => node)));
    await models();
    draw();
    on("cameras", ({ cameras }) => {
      const now = cameras.find((c) => c.name === name);
      if (now) show(now);
    }, signal);
    on("job", (job) => job.camera === name && look({ ...learning, job }), signal);
    every(EVERY, () => {
      get(`/api/cameras/${name}/learning`, signal).then(look, () => {});
    }, signal);
  },
};
