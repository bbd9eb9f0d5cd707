// @ts-check
// The wall: one tile for each camera.
import { calibrate, caution, levelWords, opening, tooShort } from "./camera_settings.js";
import { Curve } from "./curve.js";
import {
  button, el, empty, heading, setClass, setHidden, setText, showRows, toast, within,
} from "./elements.js";
import { follow } from "./pictures.js";
import { allCameras, get, on, post, serverNow, whenConnected } from "./server.js";
import { count, fixed, percent, score, timeOfDay } from "./words.js";

export const STATES = {
  connecting: "connecting", running: "running", retrying: "lost, trying again",
  ended: "ended", stopped: "stopped", failed: "cannot be scored",
  dark: "dark", covered: "covered", frozen: "frozen", moved: "moved",
};
// Whether pictures come, whatever they show.
/** @param {CameraStatus} s */
export const shows = (s) => ["running", "dark", "covered", "frozen", "moved"].includes(s.state);

export const NO_MODEL = "no model yet: its pictures are shown and recorded";

export const mapWanted = {
  key: (name) => `vadistill-map-${name}`,
  get: (name) => localStorage.getItem(mapWanted.key(name)) === "1",
  set: (name, wanted) => localStorage.setItem(mapWanted.key(name), wanted ? "1" : "0"),
};

// A button that stays pressed while the anomaly map is drawn into the pictures of a camera; whoever
// has it hides it while the camera's scores come without a map.
export const mapButton = (name, changed = () => {}) => {
  const toggle = button("map", () => {
    mapWanted.set(name, !mapWanted.get(name));
    toggle.setAttribute("aria-pressed", String(mapWanted.get(name)));
    changed();
  }, { "aria-pressed": String(mapWanted.get(name)), "aria-label": `anomaly map of ${name}` });
  return toggle;
};

// Figures of a camera in one line each; what is fine is not told.
/** @param {CameraStatus} s */
const flow = (s) => `${fixed(s.input_fps, 1)} frames/s in, ${fixed(s.scored_fps, 1)} scored`;
/** @param {CameraStatus} s */
const losses = (s) => {
  const parts = [`${percent(s.drop_share)} dropped`];
  if (s.latency_ms) parts.push(
    `latency ${Math.round(s.latency_ms.median)} ms (95 %: ${Math.round(s.latency_ms.p95)})`,
  );
  if (s.reconnects) parts.push(count(s.reconnects, "reconnect"));
  if (s.corrupt) parts.push(`${s.corrupt} corrupt`);
  return parts.join(" · ");
};
/** @param {CameraStatus} s */
export const trouble = (s) => {
  if (s.state === "running") return "";
  const parts = [s.detail || STATES[s.state]];
  if (s.next_try) parts.push(`next try in ${Math.max(0, Math.ceil(s.next_try - serverNow()))} s`);
  return parts.join(" · ");
};

export const stateBadge = () => {
  const badge = el("span.badge");
  return {
    node: badge,
    /** @param {Camera} camera */
    show(camera) {
      const open = camera.event !== null;
      const { state } = camera.status;
      setText(badge, open ? "event" : STATES[state]);
      const kind = open ? "event" : state;
      if (badge.dataset.kind !== kind) badge.dataset.kind = kind;
    },
  };
};

// Nobody is told of a camera's events for an hour; again from now on where that is so.
/** @type {(camera: () => Camera, signal: AbortSignal) => { node: HTMLElement,
 *    show: (camera: Camera) => void }} */
export const muter = (camera, signal) => {
  const node = button("mute for an hour", async () => {
    const { name, muted_until: until } = camera();
    try {
      show(await post(`/api/cameras/${name}/mute`, { minutes: until === null ? 60 : 0 }, signal));
    } catch (error) {
      if (error.name === "ApiError") toast(error.message);
    }
  });
  const show = (now) => {
    const until = now.muted_until;
    setText(node, until === null ? "mute for an hour" : `muted until ${timeOfDay(until)}: unmute`);
    node.setAttribute("aria-pressed", String(until !== null));
    setHidden(node, !now.level);
  };
  return { node, show };
};

// That a camera's pictures are unlike those that its model learned from, or its scores unlike those
// that its level was made from.
export const warning = () => {
  const unlike = el("p");
  const drift = el("p");
  const node = el("div.warning", { role: "note" }, unlike, drift);
  const tell = (place, words) => {
    setText(place, (words ?? "").replace(/^./, (letter) => letter.toUpperCase()));
    setHidden(place, !words);
  };
  return {
    node,
    /** @param {Camera} camera */
    show(camera) {
      tell(unlike, camera.unlike);
      tell(drift, camera.drift && `${camera.drift}.`);
      setHidden(node, !camera.unlike && !camera.drift);
    },
  };
};

// To the page that leads from an address to alarms, and again once scores have drifted.
export const wayButton = (name) => {
  const node = el("a.button", { href: `#/cameras/${name}/learn` });
  return {
    node,
    /** @param {Camera} camera */
    show({ drift }) {
      const words = drift ? "fit again" : "set up";
      setText(node, words);
      node.setAttribute("aria-label", `${words} ${name}`);
    },
  };
};

class Tile {
  /** @param {Camera} camera @param {AbortSignal} signal */
  constructor(camera, signal) {
    const { name } = camera;
    this.camera = camera;
    this.stop = within(signal);
    const mine = this.stop.signal;
    this.badge = stateBadge();
    this.picture = el("canvas", { role: "img", "aria-label": `picture of ${name}` });
    this.over = el("p.over");
    this.curve = new Curve({ label: `score of ${name} in the last two minutes`, signal: mine });
    this.score = el("b");
    this.flow = el("span");
    this.losses = el("p.soft");
    this.words = el("span");
    this.short = el("span.short");
    this.silent = el("span");
    this.level = el("p.soft", this.words, this.short, this.silent);
    this.warning = warning();
    this.map = mapButton(name);
    const id = `tile-${name}`;
    const href = `#/cameras/${name}`;
    this.learn = button("calibrate", () => calibrate(this.camera, mine),
      { "aria-label": `calibrate ${name}` });
    this.way = wayButton(name);
    this.node = el("article.tile", { "aria-labelledby": id, "data-camera": name },
      el("div.head", el("h2", { id }, el("a", { href }, name)), this.badge.node),
      el("a.picture", { href, "aria-label": `open ${name}` }, this.picture, this.over),
      this.curve.node,
      el("p.numbers", el("span", "score ", this.score), this.flow),
      this.losses, this.level, this.warning.node,
      el("div.row", this.map, this.learn, this.way.node));
    follow(this.picture, () => this.#address(), mine);
    this.show(camera);
  }

  #address() {
    const { name, model, status, score } = this.camera;
    // There is no picture before the first frame or, with a model, the first score; and that of a camera that does not run stays.
    if (model ? score === null : !status.frames) return null;
    if (!shows(status) && this.picture.classList.contains("has")) return null;
    return `/api/cameras/${name}/picture.jpg${mapWanted.get(name) ? "?map=1" : ""}`;
  }

  /** @param {Camera} camera */
  show(camera) {
    this.camera = camera;
    const { status } = camera;
    const open = camera.event !== null;
    setClass(this.node, "open", open);
    setClass(this.node, "away", !shows(status));
    this.badge.show(camera);
    setText(this.score, score(camera.score));
    setText(this.flow, flow(status));
    setText(this.losses, losses(status));
    setText(this.over, trouble(status));
    setHidden(this.over, status.state === "running");
    const until = camera.muted_until;
    const short = tooShort(camera.level);
    const words = short ? opening(camera.level) : levelWords(camera.level);
    setText(this.words, camera.model ? words : NO_MODEL);
    setText(this.short, short && `, ${short}`);
    setText(this.silent, until === null ? "" : `; muted until ${timeOfDay(until)}`);
    this.level.title = caution(camera.level);
    this.warning.show(camera);
    setHidden(this.map, !camera.has_map);
    setHidden(this.learn, !camera.level);
    this.way.show(camera);
    setHidden(this.way.node, camera.model !== "" && !camera.drift);
    this.curve.setLevel(camera.level);
  }

  past() {
    const { signal } = this.stop;
    get(`/api/cameras/${this.camera.name}/scores?seconds=120`, signal)
      .then((found) => this.curve.replace(found.times, found.scores), () => {});
  }
}

const nothing = () =>
  empty("No cameras yet.",
    "Add the first: its address can be tested before it is saved. " +
      "To only try a model, upload a video.",
    el("a.button.primary", { href: "#/add" }, "Add a camera"), " ",
    el("a.button", { href: "#/upload" }, "Upload a video"));

/** @type {Page} */
export const page = {
  title: "Cameras",
  nav: "#/",
  async show(root, { signal }) {
    /** @type {Map<string, Tile>} */
    const tiles = new Map();
    const wall = el("div.wall");
    const none = nothing();
    const summary = el("p.soft");
    const add = el("a.button", { href: "#/add" }, "Add a camera");
    root.append(el("div.head", heading("Cameras"), add), summary, wall, none);
    const make = (camera) => {
      const tile = new Tile(camera, signal);
      tile.past();
      return tile;
    };
    /** @param {Camera[]} cameras */
    const show = (cameras) => {
      showRows(wall, tiles, cameras, (camera) => camera.name, make);
      const running = cameras.filter((c) => c.status.state === "running").length;
      const open = cameras.filter((c) => c.event !== null).length;
      const events = open ? `, ${count(open, "event")} open` : "";
      setText(summary, `${running} of ${count(cameras.length, "camera")} running${events}`);
      setHidden(summary, !cameras.length);
      setHidden(none, cameras.length > 0);
    };
    on("cameras", ({ cameras }) => show(cameras), signal);
    on("scores", ({ camera, points }) => tiles.get(camera)?.curve.add(points), signal);
    whenConnected(() => tiles.forEach((tile) => tile.past()), signal);
    show(await allCameras(signal));
  },
};
