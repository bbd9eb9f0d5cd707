// Models: which there are, and fitting one from normal footage.
import { get, post } from "./api.js";
import {
  attempt,
  el,
  empty,
  field,
  options,
  problem,
  setHidden,
  setText,
  table,
  toast,
} from "./elements.js";
import { jobList } from "./job.js";
import { count, hours } from "./words.js";

const SUPERVISION = { "one-class": "normal video only", weak: "labelled videos" };

const HEADER = ["name", "system", "learned from", "looks ahead", "cameras"];

const links = (names) =>
  el(
    "span",
    {},
    names.map((name, i) => [i ? ", " : "", el("a", { href: `#/cameras/${name}` }, name)]).flat(),
  );
const row = (model) => [
  el("b", { "data-model": model.name }, model.name),
  model.error ? el("span.wrap.bad", {}, model.error) : model.system,
  SUPERVISION[model.supervision] ?? "–",
  model.latency_frames === null ? "–" : count(model.latency_frames, "frame"),
  model.cameras.length ? links(model.cameras) : "–",
];

// Where the footage comes from: a folder of the settings file, or what a camera has recorded.
const footageFields = (footage) => {
  const kinds = [];
  if (footage.folders.length) kinds.push(["folder", "a folder of the server"]);
  if (footage.cameras.length) kinds.push(["camera", "what a camera has recorded"]);
  const kind = options(el("select"), kinds);
  const folder = options(
    el("select"),
    footage.folders.map((f) => [f.name, `${f.name} (${count(f.videos, "video")})`]),
  );
  const camera = options(
    el("select"),
    footage.cameras.map((c) => [c.name, `${c.name} (${hours(c.hours)} recorded)`]),
  );
  const last = el("input", { type: "number", min: 0.1, max: 8760, step: "any", value: "24" });
  const folders = field("Folder", folder);
  const cameras = el(
    "div",
    {},
    field("Camera", camera),
    field(
      "Hours up to now",
      last,
      "Without the events that were marked as real. There should be nothing abnormal in it.",
    ),
  );
  const show = () => {
    setHidden(folders, kind.value !== "folder");
    setHidden(cameras, kind.value !== "camera");
  };
  kind.onchange = show;
  show();
  return {
    node: el("div", {}, field("Normal footage", kind), folders, cameras),
    value: () => kind.value === "folder" ? { folder: folder.value } : {
      camera: camera.value,
      hours: Number(last.value),
    },
    there: kinds.length > 0,
    show,
  };
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
  const name = el(
    "input",
    {
      required: true,
      pattern: "[a-z0-9][a-z0-9\\-]{0,39}",
      maxlength: 40,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      placeholder: "entrance",
    },
  );
  const system = options(el("select"), able.map((s) => [s.name, s.name]));
  const line = el("p.soft");
  const describe = () => setText(line, able.find((s) => s.name === system.value)?.line ?? "");
  system.onchange = describe;
  describe();
  const place = el("div");
  const submit = el("button.primary", { type: "submit" }, "Fit the model");
  const form = el(
    "form.card.narrow",
    {},
    field("Name of the new model", name, "Small letters, digits and '-', up to 40."),
    field("System", system),
    line,
    source.node,
    place,
    el("div.row.end", {}, submit),
  );
  form.onsubmit = async (event) => {
    event.preventDefault();
    const wanted = { name: name.value.trim(), system: system.value, footage: source.value() };
    const job = await attempt(submit, place, () => post("/api/models", wanted, signal));
    if (!job) return;
    form.reset();
    describe();
    source.show();
    started(job);
  };
  return form;
};

export const page = {
  title: "Models",
  nav: "#/models",
  async show(root, { signal }) {
    const place = el("div");
    const form = el("div");
    const list = async () => {
      const { models, systems } = await get("/api/models", signal);
      place.replaceChildren(
        models.length ? table(HEADER, models.map(row)) : empty(
          "No models yet.",
          "Fit the first below: it learns what is normal from your own footage, without labels.",
        ),
      );
      return systems;
    };
    root.append(el("h1", { tabindex: -1 }, "Models"), place, el("h2", {}, "Fit a model"), form);
    const systems = await list();
    const footage = await get("/api/footage", signal);
    const finished = new Set();
    let first = true;
    const jobs = await jobList("fit", signal, {
      none: "None at the moment.",
      changed: (job) => {
        const done = job.state === "done";
        if (done && !finished.has(job.id) && !first) list().catch(
          (error) => error.name !== "AbortError" && place.replaceChildren(problem(error)),
        );
        if (done) finished.add(job.id);
      },
    });
    first = false;
    form.append(fitForm(systems, footage, signal, (job) => {
      jobs.show(job);
      toast(`${job.title} is under way`);
      jobs.node.scrollIntoView({ block: "nearest" });
    }));
    root.append(el("h2", {}, "Fitting"), jobs.node);
  },
};
