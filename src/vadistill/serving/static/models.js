// @ts-check
// Models: which there are, and fitting one from normal footage.
import {
  attempt, el, empty, field, form, heading, NAME_HINT, nameInput, number, select, setHidden,
  setText, showProblem, table, toast,
} from "./elements.js";
import { jobList } from "./jobs.js";
import { selfTest, selfTestWords } from "./self_test.js";
import { get, post } from "./server.js";
import { count, hours } from "./words.js";

const SUPERVISION = { "one-class": "normal video only", weak: "labelled videos" };

const HEADER = ["name", "system", "learned from", "looks ahead", "self-test", "cameras"];

const links = (names) =>
  el("span", names.map((name, i) => [i ? ", " : "", el("a", { href: `#/cameras/${name}` }, name)])
    .flat());
/** @param {Model} model */
const row = (model) => [
  el("b", { "data-model": model.name }, model.name),
  model.error ? el("span.wrap.bad", model.error) : model.system,
  SUPERVISION[model.supervision] ?? "–",
  model.latency_frames === null ? "–" : count(model.latency_frames, "frame"),
  selfTestWords(model.self_test),
  model.cameras.length ? links(model.cameras) : "–",
];

// Where the footage comes from: a folder of the settings file, or what a camera has recorded.
const folderWords = (f) => `${f.name} (${count(f.videos, "video")})`;
const cameraWords = (c) => `${c.name} (${hours(c.hours)} recorded)`;
const footageFields = (footage) => {
  const kinds = [];
  if (footage.folders.length) kinds.push(["folder", "a folder of the server"]);
  if (footage.cameras.length) kinds.push(["camera", "what a camera has recorded"]);
  const kind = select(kinds);
  const folder = select(footage.folders.map((f) => [f.name, folderWords(f)]));
  const camera = select(footage.cameras.map((c) => [c.name, cameraWords(c)]));
  const last = number(24, { min: 0.1, max: 8760 });
  const folders = field("Folder", folder);
  const hint =
    "Without its events, but for those that were marked as false alarms.";
  const cameras = el("div", field("Camera", camera), field("Hours up to now", last, hint));
  const show = () => {
    setHidden(folders, kind.value !== "folder");
    setHidden(cameras, kind.value !== "camera");
  };
  kind.onchange = show;
  show();
  const value = () =>
    kind.value === "folder"
      ? { folder: folder.value }
      : { camera: camera.value, hours: Number(last.value) };
  const node = el("div", field("Normal footage", kind), folders, cameras);
  return { node, value, there: kinds.length > 0, show };
};

const fitForm = (systems, footage, signal, started) => {
  const able = systems.filter((s) => s.supervision === "one-class");
  const source = footageFields(footage);
  if (!source.there)
    return empty(
      "There is no footage to fit a model from.",
      "Name a folder of normal video (vadistill serve --footage FOLDER), or let a camera keep " +
        "some hours of footage (in its settings).",
      el("a.button", { href: "#/" }, "See the cameras"),
    );
  const name = nameInput();
  const system = select(able.map((s) => [s.name, s.name]));
  const line = el("p.soft");
  const describe = () => setText(line, able.find((s) => s.name === system.value)?.line ?? "");
  system.onchange = describe;
  describe();
  const send = async (submit, place) => {
    const wanted = { name: name.value.trim(), system: system.value, footage: source.value() };
    const job = await attempt(submit, place, () => post("/api/models", wanted, signal));
    if (!job) return;
    node.reset();
    describe();
    source.show();
    started(job);
  };
  const fields = [
    field("Name of the new model", name, NAME_HINT), field("System", system), line, source.node,
  ];
  const node = form("form.card.narrow", "Fit the model", fields, send);
  return node;
};

/** @type {Page} */
export const page = {
  title: "Models",
  nav: "#/models",
  async show(root, { signal }) {
    const place = el("div");
    const fitting = el("div");
    const list = async () => {
      const { models, systems } = await get("/api/models", signal);
      const none =
        "Fit the first below: it learns what is normal from your own footage, without labels.";
      place.replaceChildren(
        models.length ? table(HEADER, models.map(row)) : empty("No models yet.", none),
        ...models.filter((m) => m.self_test).map((m) => selfTest(m.name, m.self_test)));
      return systems;
    };
    root.append(heading("Models"), place, el("h2", "Fit a model"), fitting);
    const systems = await list();
    const footage = await get("/api/footage", signal);
    const finished = new Set();
    let first = true;
    const jobs = await jobList("fit", signal, {
      none: "None at the moment.",
      changed: (job) => {
        const done = job.state === "done";
        if (done && !finished.has(job.id) && !first)
          list().catch((error) => showProblem(place, error));
        if (done) finished.add(job.id);
      },
    });
    first = false;
    fitting.append(fitForm(systems, footage, signal, (job) => {
      jobs.show(job);
      toast(`${job.title} is under way`);
      jobs.node.scrollIntoView({ block: "nearest" });
    }));
    root.append(el("h2", "Fitting"), jobs.node);
  },
};
