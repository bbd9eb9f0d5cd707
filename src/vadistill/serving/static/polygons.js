// @ts-check
// Polygons over a picture: shown, drawn by click or touch, and moved by keys.
import { announce, button, el, setClass, svg } from "./elements.js";

/** @typedef {[number, number]} Corner */

// A polygon's corners as an SVG of 100 by 100 has them.
/** @param {Corner[]} corners */
const points = (corners) => corners.map(([x, y]) => `${100 * x},${100 * y}`).join(" ");

// What a camera hides and names, to be laid over its picture.
/** @param {{ masks: Corner[][], zones: Zone[] }} areas */
export const overlay = ({ masks, zones }) => {
  const shapes = [
    ...masks.map((corners) => svg("polygon", { points: points(corners), class: "mask" })),
    ...zones.map((zone) => svg("polygon", { points: points(zone.corners), class: "zone" },
      svg("title", {}, zone.name))),
  ];
  const frame = { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", { ...frame, class: "areas" }, ...shapes);
};

const part = (x) => Math.min(1, Math.max(0, Math.round(1000 * x) / 1000));

// How far a point is from the line between two corners.
/** @type {(point: Corner, a: Corner, b: Corner) => number} */
const distance = ([x, y], [ax, ay], [bx, by]) => {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
};

// Where a new corner goes: behind the last one while the shape grows, else into the nearest side.
/** @type {(corners: Corner[], point: Corner, growing: boolean) => number} */
export const placeOf = (corners, point, growing) => {
  if (growing || corners.length < 3) return corners.length;
  let best = 0;
  let least = Infinity;
  corners.forEach((corner, i) => {
    const found = distance(point, corner, corners[(i + 1) % corners.length]);
    if (found < least) [best, least] = [i + 1, found];
  });
  return best;
};

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// A picture on which one shape of several is edited.  `shapes()` gives them, `chosen()` the edited
// one's index or -1; `changed(corners, kept)` hears its new corners, and whether they are to be kept
// for undoing; `finished()` that a growing shape is whole.
/** @type {(image: HTMLElement, about: { shapes: () => Shape[], chosen: () => number,
 *    growing: () => boolean, changed: (corners: Corner[], kept: boolean) => void,
 *    finished: () => void }) => { node: HTMLElement, draw: () => void, add: () => void }} */
export const canvas = (image, { shapes, chosen, growing, changed, finished }) => {
  const drawing = svg("svg", {
    viewBox: "0 0 100 100", preserveAspectRatio: "none", class: "areas", "aria-hidden": "true",
  });
  const handles = el("div.handles");
  const node = el("div.picture.large.draw", image, drawing, handles);
  /** @param {PointerEvent} event @returns {Corner} */
  const place = (event) => {
    const box = node.getBoundingClientRect();
    return [part((event.clientX - box.left) / box.width), part((event.clientY - box.top) / box.height)];
  };
  const corners = () => shapes()[chosen()]?.corners ?? null;
  const insert = (point) => {
    const now = corners();
    if (!now || now.length >= 64) return;
    const at = placeOf(now, point, growing());
    changed([...now.slice(0, at), point, ...now.slice(at)], true);
    announce(`corner ${at + 1} of ${now.length + 1}`);
    draw();
    return at;
  };
  node.addEventListener("click", (event) => {
    if (/** @type {Element} */ (event.target).closest(".handle")) return;
    insert(place(event));
  });
  const drop = (i) => {
    changed(corners().filter((_, other) => other !== i), true);
    draw();
    focus(Math.min(i, corners().length - 1));
  };
  const focus = (i) => /** @type {HTMLElement} */ (handles.children[i])?.focus();
  const keys = (event, i) => {
    const now = corners();
    const step = STEPS[event.key];
    if (step) {
      const by = event.shiftKey ? 0.05 : 0.01;
      const [x, y] = now[i];
      const moved = /** @type {Corner} */ ([part(x + by * step[0]), part(y + by * step[1])]);
      changed(now.map((corner, other) => (other === i ? moved : corner)), true);
      draw();
      focus(i);
    } else if (event.key === "Delete" || event.key === "Backspace") drop(i);
    else return;
    event.preventDefault();
  };
  const handle = (i) => {
    const made = button("", () => growing() && i === 0 && corners().length > 2 && finished(), {
      class: "handle", "aria-label": `corner ${i + 1}: arrows move it, Delete removes it`,
    });
    const [x, y] = corners()[i];
    made.style.left = `${100 * x}%`;
    made.style.top = `${100 * y}%`;
    made.onkeydown = (event) => keys(event, i);
    let begun = null;
    made.onpointerdown = (event) => {
      begun = corners();
      made.setPointerCapture(event.pointerId);
    };
    made.onpointermove = (event) => {
      if (!begun) return;
      const moved = place(event);
      made.style.left = `${100 * moved[0]}%`;
      made.style.top = `${100 * moved[1]}%`;
      changed(begun.map((corner, other) => (other === i ? moved : corner)), false);
      outline();
    };
    made.onpointerup = made.onpointercancel = () => {
      const before = begun;
      begun = null;
      const now = corners();
      if (!before || before[i] === now[i]) return;
      changed(before, false); // what came between is one step
      changed(now, true);
    };
    return made;
  };
  const outline = () => {
    drawing.replaceChildren(...shapes().map((shape, i) => {
      const open = i === chosen() && growing();
      const made = svg(open ? "polyline" : "polygon", {
        points: points(shape.corners), class: shape.name === null ? "mask" : "zone",
      });
      setClass(made, "chosen", i === chosen());
      return made;
    }));
  };
  const draw = () => {
    outline();
    const at = [...handles.children].indexOf(document.activeElement);
    handles.replaceChildren(...(corners() ?? []).map((_, i) => handle(i)));
    if (at >= 0) focus(at);
  };
  // By keys alone: a corner in the middle, or between the last one and the first.
  const add = () => {
    const now = corners();
    if (!now) return;
    const [last, first] = [now[now.length - 1], now[0]];
    const spread = 0.1 * (now.length % 2 ? 1 : -1);
    const middle = /** @type {Corner} */ (
      now.length < 3
        ? [part(0.5 + (now.length ? spread : 0)), part(0.4 + 0.1 * now.length)]
        : [part((last[0] + first[0]) / 2), part((last[1] + first[1]) / 2)]);
    const at = now.length;
    changed([...now, middle], true);
    draw();
    focus(at);
  };
  return { node, draw, add };
};
