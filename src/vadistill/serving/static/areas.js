// @ts-check
// Masks and zones of a camera, drawn on its picture.
import {
  attempt, button, confirmed, el, field, heading, NAME_HINT, nameInput, setHidden, setText,
} from "./elements.js";
import { canvas } from "./polygons.js";
import { get, patch } from "./server.js";
import { count } from "./words.js";

const ABOUT =
  "A mask is a part of the picture that is neither scored nor learned from: a road, a tree, a " +
  "screen. It stays visible. A zone is a part with a name: events tell in which one their object " +
  "stands, and where you say so below nothing else counts.";
const HOW =
  "Press New mask or New zone, then press the corners on the picture one after the other, and the " +
  "first one again to end. Corners can be pulled; with keys: Add a corner, arrows, Delete.";

const UNDO = 100; // steps

/** @type {(camera: Camera) => Shape[]} */
const shapesOf = ({ masks, zones }) => [
  ...masks.map((corners) => ({ name: null, corners })),
  ...zones.map(({ name, corners }) => ({ name, corners })),
];

/** @param {Shape[]} shapes */
const entries = (shapes) => ({
  masks: shapes.filter((s) => s.name === null).map((s) => s.corners),
  zones: shapes.filter((s) => s.name !== null).map(({ name, corners }) => ({ name, corners })),
});

// What keeps shapes from being saved.
/** @param {Shape[]} shapes */
export const problemOf = (shapes) => {
  const names = shapes.map((s) => s.name).filter((n) => n !== null);
  if (shapes.some((s) => s.corners.length < 3)) return "A mask or zone needs three corners or more.";
  if (names.some((n) => !/^[a-z0-9][a-z0-9-]{0,39}$/.test(n))) return `Names of zones: ${NAME_HINT}`;
  return new Set(names).size < names.length ? "Two zones have the same name." : "";
};

/** @type {Page} */
export const page = {
  title: "Masks and zones",
  nav: "#/",
  async show(root, { signal, part: name }) {
    /** @type {Camera} */
    let camera = await get(`/api/cameras/${name}`, signal);
    document.title = `Masks and zones of ${name} – vadistill`;
    let shapes = shapesOf(camera);
    let chosen = -1;
    let growing = false;
    /** @type {{ shapes: Shape[], chosen: number, growing: boolean }[]} */
    const past = [];
    let saved = JSON.stringify(entries(shapes));

    const image = el("img.has", { alt: `picture of ${name}` });
    const fresh = () => {
      image.src = `/api/cameras/${name}/picture.jpg?boxes=0&at=${Date.now()}`;
    };
    const note = el("p.soft", { role: "status" });
    const place = el("div");
    const list = el("ul.shapes", { "aria-label": "masks and zones" });
    const only = el("input", { type: "checkbox", checked: camera.only_zones });

    const keep = () => {
      past.push({ shapes, chosen, growing });
      if (past.length > UNDO) past.shift();
    };
    const board = canvas(image, {
      shapes: () => shapes,
      chosen: () => chosen,
      growing: () => growing,
      changed: (corners, kept) => {
        if (kept) keep();
        shapes = shapes.map((s, i) => (i === chosen ? { ...s, corners } : s));
        show();
      },
      finished: () => choose(chosen),
    });
    const choose = (i) => {
      growing = false;
      chosen = i;
      draw();
    };
    const begin = (title) => {
      keep();
      shapes = [...shapes, { name: title, corners: [] }];
      chosen = shapes.length - 1;
      growing = true;
      draw();
      setText(note, "Press the first corner on the picture, or Add a corner.");
    };
    const undo = button("Undo", () => {
      const last = past.pop();
      if (!last) return;
      ({ shapes, chosen, growing } = last);
      draw();
    });
    const zoneName = () => {
      const known = shapes.map((s) => s.name);
      let number = 1;
      while (known.includes(`zone-${number}`)) number += 1;
      return `zone-${number}`;
    };
    const row = (shape, i) => {
      const mask = shape.name === null;
      const number = shapes.slice(0, i + 1).filter((s) => s.name === null).length;
      const words = mask ? `mask ${number}` : `zone ${shape.name}`;
      const pick = button(words, () => choose(chosen === i ? -1 : i),
        { "aria-pressed": String(i === chosen) });
      const drop = button("delete", () => {
        keep();
        shapes = shapes.filter((_, other) => other !== i);
        choose(-1);
      }, { "aria-label": `delete ${words}`, class: "danger" });
      const title = nameInput();
      title.value = shape.name ?? "";
      title.setAttribute("aria-label", `name of ${words}`);
      title.onchange = () => {
        keep();
        shapes = shapes.map((s, other) => (other === i ? { ...s, name: title.value.trim() } : s));
        draw();
      };
      return el("li.row", pick, mask ? null : title,
        el("span.soft", count(shape.corners.length, "corner")), drop);
    };
    const show = () => {
      const at = [...list.querySelectorAll("button, input")].indexOf(document.activeElement);
      list.replaceChildren(...shapes.map(row));
      const again = list.querySelectorAll("button, input")[at];
      if (again instanceof HTMLElement) again.focus();
      undo.disabled = !past.length;
      corner.disabled = chosen < 0;
      setHidden(done, !growing);
      done.disabled = (shapes[chosen]?.corners.length ?? 0) < 3;
      const dirty = JSON.stringify(entries(shapes)) !== saved || only.checked !== camera.only_zones;
      save.disabled = !dirty;
      setHidden(empty, shapes.length > 0);
      setText(note, growing ? "Press the next corner; the first one again ends it."
        : dirty ? "Not saved yet." : "");
    };
    const draw = () => {
      show();
      board.draw();
    };
    const corner = button("Add a corner", () => board.add());
    const done = button("Done", () => choose(chosen));
    const save = button("Save", async () => {
      const wrong = problemOf(shapes);
      if (wrong) {
        place.replaceChildren(el("div.problem", { role: "alert" }, el("p", wrong)));
        return;
      }
      const drawn = entries(shapes);
      const made = { ...drawn, only_zones: only.checked };
      const now = await attempt(save, place, () => patch(`/api/cameras/${name}`, made, signal));
      if (!now) return show();
      camera = now;
      saved = JSON.stringify(drawn);
      // What was drawn meanwhile goes on.
      if (JSON.stringify(entries(shapes)) === saved) choose(-1);
      else show();
      const then = now.model ? "; calibrate once it has seen normal hours" : "";
      place.replaceChildren(el("div.good", { role: "status" }, el("p", `Saved${then}. `,
        el("a", { href: before }, onward))));
    }, { class: "primary" });
    const again = button("New picture", fresh);
    const empty = el("p.soft", "None yet.");
    only.onchange = show;
    image.onerror = () => setText(note, "There is no picture yet: wait until the camera runs.");
    image.onload = () => {
      board.node.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    };
    const before = `#/cameras/${name}${camera.model ? "" : "/learn"}`;
    const onward = camera.model ? `Back to ${name}` : `Go on setting up ${name}`;
    const leave = el("a", { href: before }, camera.model ? name : `Set up ${name}`);
    leave.onclick = (event) => {
      if (save.disabled) return;
      event.preventDefault();
      const words = "What you drew is not saved.";
      confirmed("Leave without saving?", words, "Leave", signal).then((yes) => {
        if (yes) location.hash = before;
      });
    };
    document.addEventListener("keydown", (event) => {
      const typing = /** @type {Element} */ (event.target).closest("input");
      if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || typing) return;
      event.preventDefault();
      undo.click();
    }, { signal });
    root.append(
      el("p.soft", leave), heading("Masks and zones"), el("p", ABOUT), el("p.soft", HOW),
      el("div.split",
        el("div", board.node, el("div.row",
          button("New mask", () => begin(null)), button("New zone", () => begin(zoneName())),
          corner, done, undo, again), note),
        el("div.card", empty, list,
          field("Only objects in a zone count", only,
            "An object is where the middle of its box's lower edge is."),
          place, el("div.row.end", save))),
    );
    fresh();
    draw();
  },
};
