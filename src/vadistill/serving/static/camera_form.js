// Adding a camera, and changing the settings of one.
import { get, patch, post } from "./api.js";
import { attempt, button, el, empty, field, options, toast } from "./elements.js";
import { fixed } from "./words.js";

const number = (value, more) =>
  el(
    "input",
    {
      type: "number",
      step: "any",
      inputmode: "decimal",
      value: value === null ? "" : String(value),
      ...more,
    },
  );

const DEFAULTS = { fps: null, skip_idle: false, false_alarms_per_day: 1, record_hours: 0 };

// The form of a camera's settings; `camera` is null for a new one.  `saved` hears the camera.
export const cameraForm = (camera, models, signal, saved) => {
  const now = camera ?? { ...DEFAULTS, name: "", source: "", model: models[0]?.name };
  const name = el("input", {
    required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,39}", maxlength: 40, autocomplete: "off",
    autocapitalize: "none", spellcheck: "false", placeholder: "entrance",
  });
  const source = el("input", {
    required: !camera,
    maxlength: 2000,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    placeholder: camera
      ? `unchanged: ${camera.source}`
      : "rtsp://user:password@192.168.1.20/stream",
  });
  const model = options(
    el("select", { required: true }),
    models.map((m) => [m.name, `${m.name} (${m.system})`]),
    now.model,
  );
  const fps = number(now.fps, { min: 0.1, max: 240, placeholder: "all" });
  const idle = el("input", { type: "checkbox", checked: now.skip_idle });
  const perDay = number(now.false_alarms_per_day, { min: 0.001, required: true });
  const record = number(now.record_hours, { min: 0, required: true });
  const seen = el("div", { "aria-live": "polite" });
  const place = el("div");
  const test = button("Test", async () => {
    if (!source.value.trim()) {
      source.focus();
      seen.replaceChildren(el("p.soft", {}, "Type an address first."));
      return;
    }
    const wanted = source.value.trim();
    seen.replaceChildren();
    const found = await attempt(test, seen, () => {
      seen.replaceChildren(el("p.soft", {}, "Connecting … this may take ten seconds."));
      return post("/api/cameras/test", { source: wanted }, signal);
    });
    if (found)
      seen.replaceChildren(
        el("figure.test", {}, el("img", { src: found.picture, alt: "picture of the camera" }),
          el(
            "figcaption",
            {},
            `It works: ${found.width} × ${found.height}`,
            found.fps ? `, ${fixed(found.fps, 1)} frames/s` : null,
          )),
      );
  });
  const submit = el(
    "button.primary",
    { type: "submit" },
    camera ? "Save changes" : "Save the camera",
  );
  const form = el(
    "form.settings",
    {},
    camera ? null : field("Name", name, "Small letters, digits and '-', up to 40."),
    field(
      "Address",
      source,
      "rtsp://…, http://… (MJPEG) or webcam:0. A password in it is kept on the server and " +
        "never shown. Files and folders are added in the settings file.",
    ),
    el("div.row", {}, test),
    seen,
    field("Model", model),
    el("details", { open: camera !== null }, el("summary", {}, "More settings"),
      field("Frames scored a second, at most", fps, "Empty: all."),
      field("Leave out pictures in which nothing moves", idle),
      field("Wanted false alarms a day", perDay, "Decides at which score an event opens."),
      field("Hours of footage to keep for fitting models", record, "0: none is kept.")),
    place,
    el("div.row.end", {}, submit),
  );
  form.onsubmit = async (event) => {
    event.preventDefault();
    const values = {
      model: model.value, fps: fps.value === "" ? null : Number(fps.value), skip_idle: idle.checked,
      false_alarms_per_day: Number(perDay.value), record_hours: Number(record.value),
    };
    const address = source.value.trim();
    if (address) values.source = address;
    if (camera) {
      // A changed camera starts anew: what stays is not sent.
      for (const [
        entry,
        value,
      ] of Object.entries(values)) if (camera[entry] === value) delete values[entry];
      if (!Object.keys(values).length) {
        place.replaceChildren(el("p.soft", { role: "status" }, "Nothing has changed."));
        return;
      }
    }
    const found = await attempt(submit, place, () =>
      camera
        ? patch(`/api/cameras/${camera.name}`, values, signal)
        : post("/api/cameras", { name: name.value.trim(), ...values }, signal),
    );
    if (found) saved(found);
  };
  return form;
};

export const page = {
  title: "Add a camera",
  nav: "#/",
  async show(root, { signal }) {
    root.append(
      el("p.soft", {}, el("a", { href: "#/" }, "Cameras")),
      el("h1", { tabindex: -1 }, "Add a camera"),
    );
    const models = (await get("/api/models", signal)).models.filter((m) => !m.error);
    if (!models.length) {
      root.append(
        empty(
          "A camera needs a model.",
          "Fit one from normal footage first, or name a fitted one: vadistill serve --model PATH.",
          el("a.button.primary", { href: "#/models" }, "Fit a model"),
        ),
      );
      return;
    }
    const saved = (camera) => {
      toast(`${camera.name} is saved and connecting`);
      location.hash = `#/cameras/${camera.name}`;
    };
    root.append(el("div.card.narrow", {}, cameraForm(null, models, signal, saved)));
  },
};
