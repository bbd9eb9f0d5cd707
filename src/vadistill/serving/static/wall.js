// The wall: one tile for each camera.
import { get } from "./api.js";
import { Curve } from "./curve.js";
import { el, empty, button, setClass, setHidden, setText } from "./elements.js";
import { calibrate, caution, levelWords } from "./level.js";
import { follow } from "./pictures.js";
import { latest, on, serverNow } from "./stream.js";
import { count, fixed, percent, score, span } from "./words.js";

export const STATES = {
  connecting: "connecting", running: "running", retrying: "lost, trying again",
  ended: "ended", stopped: "stopped", failed: "cannot be scored",
};

export const mapWanted = {
  key: (name) => `vadistill-map-${name}`,
  get: (name) => localStorage.getItem(mapWanted.key(name)) === "1",
  set: (name, wanted) => localStorage.setItem(mapWanted.key(name), wanted ? "1" : "0"),
};

// A button that stays pressed while the anomaly map is drawn into the pictures of a camera.
export const mapButton = (name, changed = () => {}) => {
  const toggle = button("map", () => {
    mapWanted.set(name, !mapWanted.get(name));
    toggle.setAttribute("aria-pressed", String(mapWanted.get(name)));
    changed();
  }, { "aria-pressed": String(mapWanted.get(name)), "aria-label": `anomaly map of ${name}` });
  return toggle;
};

// Figures of a camera in one line each; what is fine is not told.
export const flow = (s) => `${fixed(s.input_fps, 1)} frames/s in, ${fixed(s.scored_fps, 1)} scored`;
export const losses = (s) => {
  const parts = [`${percent(s.drop_share)} dropped`];
  if (s.latency_ms) parts.push(
    `latency ${Math.round(s.latency_ms.median)} ms (95 %: ${Math.round(s.latency_ms.p95)})`,
  );
  if (s.reconnects) parts.push(count(s.reconnects, "reconnect"));
  if (s.corrupt) parts.push(`${s.corrupt} corrupt`);
  return parts.join(" · ");
};
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
    show(camera) {
      const open = camera.event !== null;
      const { state } = camera.status;
      setText(badge, open ? "event" : STATES[state]);
      const kind = open ? "event" : state;
      if (badge.dataset.kind !== kind) badge.dataset.kind = kind;
    },
  };
};

class Tile {
  constructor(camera, signal) {
    const { name } = camera;
    this.camera = camera;
    this.stop = new AbortController();
    signal.addEventListener("abort", () => this.stop.abort(), { signal: this.stop.signal });
    const mine = this.stop.signal;
    this.badge = stateBadge();
    this.picture = el("canvas", { role: "img", "aria-label": `picture of ${name}` });
    this.over = el("p.over");
    this.curve = new Curve({ label: `score of ${name} in the last two minutes`, signal: mine });
    this.score = el("b");
    this.flow = el("span");
    this.losses = el("p.soft");
    this.level = el("p.soft");
    const heading = el("h2", { id: `tile-${name}` }, el("a", { href: `#/cameras/${name}` }, name));
    this.node = el(
      "article.tile",
      { "aria-labelledby": heading.id, "data-camera": name },
      el("div.head", {}, heading, this.badge.node),
      el(
        "a.picture",
        { href: `#/cameras/${name}`, "aria-label": `open ${name}` },
        this.picture,
        this.over,
      ),
      this.curve.node,
      el("p.numbers", {}, el("span", {}, "score ", this.score), this.flow),
      this.losses,
      this.level,
      el("div.row", {}, mapButton(name),
        button(
          "calibrate",
          () => calibrate(this.camera, mine),
          { "aria-label": `calibrate ${name}` },
        )),
    );
    follow(this.picture, () => this.#address(), mine);
    this.show(camera);
  }

  #address() {
    const { name, status, score } = this.camera;
    // There is no picture before the first score, and that of a camera that does not run stays.
    if (score === null) return null;
    if (status.state !== "running" && this.picture.classList.contains("has")) return null;
    return `/api/cameras/${name}/picture.jpg${mapWanted.get(name) ? "?map=1" : ""}`;
  }

  show(camera) {
    this.camera = camera;
    const { status } = camera;
    const open = camera.event !== null;
    setClass(this.node, "open", open);
    setClass(this.node, "away", status.state !== "running");
    this.badge.show(camera);
    setText(this.score, score(camera.score));
    setText(this.flow, flow(status));
    setText(this.losses, losses(status));
    setText(this.over, trouble(status));
    setHidden(this.over, status.state === "running");
    setText(this.level, levelWords(camera.level));
    this.level.title = caution(camera.level);
    this.curve.setLevel(camera.level);
  }

  async past() {
    const found = await get(
      `/api/cameras/${this.camera.name}/scores?seconds=120`,
      this.stop.signal,
    );
    this.curve.replace(found.times, found.scores);
  }
}

const nothing = () =>
  empty(
    "No cameras yet.",
    "Add the first: its address can be tested before it is saved. " +
      "To only try a model, upload a video.",
    el("a.button.primary", { href: "#/add" }, "Add a camera"),
    " ",
    el("a.button", { href: "#/upload" }, "Upload a video"),
  );

export const page = {
  title: "Cameras",
  nav: "#/",
  async show(root, { signal }) {
    const tiles = new Map();
    const wall = el("div.wall");
    const none = nothing();
    const summary = el("p.soft");
    root.append(
      el(
        "div.head",
        {},
        el("h1", { tabindex: -1 }, "Cameras"),
        el("a.button", { href: "#/add" }, "Add a camera"),
      ),
      summary, wall, none,
    );
    const show = (cameras) => {
      const names = new Set(cameras.map((c) => c.name));
      for (const [name, tile] of tiles)
        if (!names.has(name)) {
          tile.stop.abort();
          tile.node.remove();
          tiles.delete(name);
        }
      cameras.forEach((camera, i) => {
        let tile = tiles.get(camera.name);
        if (tile) tile.show(camera);
        else {
          tile = new Tile(camera, signal);
          tiles.set(camera.name, tile);
          tile.past().catch(() => {});
        }
        if (wall.children[i] !== tile.node) wall.insertBefore(tile.node, wall.children[i] ?? null);
      });
      const running = cameras.filter((c) => c.status.state === "running").length;
      const open = cameras.filter((c) => c.event !== null).length;
      setText(
        summary,
        `${running} of ${count(cameras.length, "camera")} running` +
          (open ? `, ${count(open, "event")} open` : ""),
      );
      setHidden(summary, !cameras.length);
      setHidden(none, cameras.length > 0);
    };
    on("cameras", ({ cameras }) => show(cameras), signal);
    on("scores", ({ camera, points }) => tiles.get(camera)?.curve.add(points), signal);
    on("state", (state) => {
      if (state === "connected") for (const tile of tiles.values()) tile.past().catch(() => {});
    }, signal);
    show(latest.cameras ?? (await get("/api/cameras", signal)).cameras);
  },
};
