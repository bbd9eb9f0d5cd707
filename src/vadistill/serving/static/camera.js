// @ts-check
// One camera: large picture, longer curve, status, settings, recent events.
import { calibrate, cameraForm, caution, levelWords } from "./camera_settings.js";
import { Curve } from "./curve.js";
import {
  attempt, back, button, confirmed, el, facts, heading, select, setClass, setHidden, setText, toast,
  within,
} from "./elements.js";
import { eventFigure, openPlayer } from "./event.js";
import { stream } from "./pictures.js";
import { overlay } from "./polygons.js";
import { get, latest, on, post, remove, soundModels, whenConnected } from "./server.js";
import {
  mapButton, mapWanted, muter, NO_MODEL, shows, stateBadge, trouble, warning, wayButton,
} from "./wall.js";
import { count, fixed, moment, percent, score } from "./words.js";

const RECENT = 6;
const SPANS = [["120", "2 minutes"], ["600", "10 minutes"], ["3600", "1 hour"]];

// Rows of the table of figures.
/** @type {[string, (camera: Camera) => string][]} */
const FACTS = [
  ["Score", (c) => score(c.score)],
  ["Light", ({ light }) => (light === "night" ? "night: without colours" : light ?? "–")],
  ["Frames in", ({ status: s }) => `${fixed(s.input_fps, 1)} a second, ${s.width} × ${s.height}`],
  ["Scored", (c) => `${fixed(c.status.scored_fps, 1)} a second`],
  ["Dropped", (c) => `${percent(c.status.drop_share)} (${count(c.status.dropped, "frame")})`],
  ["Left out", (c) => {
    const { capped, idle } = c.status;
    if (!c.fps && !c.skip_idle) return "nothing";
    return `${capped} above the rate, ${idle} without motion`;
  }],
  ["Latency", (c) => {
    const ms = c.status.latency_ms;
    return ms ? `${Math.round(ms.median)} ms, 95 %: ${Math.round(ms.p95)} ms` : "–";
  }],
  ["Corrupt", (c) => count(c.status.corrupt, "packet")],
  ["Reconnects", (c) => String(c.status.reconnects)],
  ["Since", (c) => moment(c.status.since)],
  ["Model", (c) => c.model || "none yet"],
  ["Address", (c) => c.source],
];

const figures = () => {
  const rows = FACTS.map(([label]) => [label, el("span")]);
  return {
    node: facts(rows),
    show: (camera) => FACTS.forEach(([, words], i) => setText(rows[i][1], words(camera))),
  };
};

const recent = (name, signal) => {
  const place = el("div.moments");
  const none = el("p.soft", "None yet. Events appear here when the score stays above the level.");
  /** @type {CameraEvent[]} */
  let events = [];
  const draw = () => {
    place.replaceChildren(...events.map((e) => eventFigure(e, () =>
      openPlayer({ id: e.id, events: () => events, changed: merge, signal }))));
    setHidden(none, events.length > 0);
  };
  const merge = (event) => {
    if (event.camera !== name) return;
    const others = events.filter((e) => e.id !== event.id);
    events = [...others, event].sort((a, b) => b.start - a.start).slice(0, RECENT);
    draw();
  };
  const load = async () => {
    events = (await get(`/api/events?camera=${name}&limit=${RECENT}`, signal)).events;
    draw();
  };
  on("event", merge, signal);
  return { node: el("div", none, place), load, all: () => events };
};

// False alarms that hold back what is like them; each can be forgotten.
const memory = (name, signal) => {
  const list = el("div.moments");
  const place = el("div");
  const none = el("p.soft",
    "None. An event that you mark as a false alarm holds back later ones at its place, of its size " +
    "and kind, that are not higher.");
  const path = `/api/cameras/${name}/remembered`;
  /** @param {FalseAlarm} alarm */
  const figure = (alarm) => {
    const image = el("img", {
      src: `/api/events/${alarm.event}/thumbnail.jpg`, loading: "lazy",
      alt: `false alarm of ${moment(alarm.start)}`,
    });
    image.onerror = () => image.replaceWith(el("span.lost", "no picture any more"));
    const held = alarm.held
      ? `held back ${count(alarm.held, "time")}, last ${moment(alarm.last)}`
      : "nothing was held back yet";
    const drop = button("forget", async () => {
      const now = await attempt(drop, place, () => remove(`${path}/${alarm.event}`, signal));
      if (now) draw(now.remembered);
    }, { "aria-label": `forget the false alarm of ${moment(alarm.start)}` });
    return el("figure", el("a.still", { href: `#/events?event=${alarm.event}` }, image),
      el("figcaption", `${moment(alarm.start)} · ${held}`), el("div.row", drop));
  };
  /** @type {FalseAlarm[]} */
  let alarms = [];
  const draw = (now) => {
    alarms = now;
    list.replaceChildren(...alarms.map(figure));
    setHidden(none, alarms.length > 0);
  };
  const load = async () => draw((await get(path, signal)).remembered);
  on("event", ({ id, camera, verdict }) => {
    const remembered = alarms.some((alarm) => alarm.event === id);
    if (camera === name && remembered !== (verdict === "false")) load().catch(() => {});
  }, signal);
  return { node: el("div", none, list, place), load };
};

/** @type {Page} */
export const page = {
  title: "Camera",
  nav: "#/",
  async show(root, { signal, part: name }) {
    /** @type {Camera} */
    let camera = await get(`/api/cameras/${name}`, signal);
    const models = await soundModels(signal);
    document.title = `${name} – vadistill`;
    const badge = stateBadge();
    const image = el("img", { alt: `live picture of ${name}` });
    const over = el("p.over");
    let areas = overlay(camera);
    let drawn = "";
    const screen = el("div.picture.large", image, areas, over);
    const again = stream(
      image,
      () => `/api/cameras/${name}/live.mjpeg?map=${mapWanted.get(name) ? 1 : 0}`,
      signal,
    );
    const map = mapButton(name, again);
    const unlike = warning();
    const table = figures();
    const level = el("p");
    const note = el("p.soft");
    const events = recent(name, signal);
    const alarms = memory(name, signal);
    const curves = el("div");
    const choice = select(SPANS, "600", { "aria-label": "span of the curve" });
    /** @type {Curve} */
    let curve = null;
    let own = null;
    const past = async () => {
      const mine = curve;
      const found = await get(`/api/cameras/${name}/scores?seconds=${mine.span}`, signal);
      mine.replace(found.times, found.scores);
    };
    const fresh = () => {
      own?.abort();
      own = within(signal);
      const span = Number(choice.value);
      curve = new Curve({ label: `score of ${name}`, signal: own.signal, span, tall: true });
      curves.replaceChildren(curve.node);
      curve.setLevel(camera.level);
      past().catch(() => {});
    };
    choice.onchange = fresh;
    const show = (now) => {
      setHidden(map, !now.has_map);
      camera = now;
      const away = !shows(now.status);
      setHidden(right, now.status.state !== "moved");
      badge.show(now);
      mute.show(now);
      table.show(now);
      unlike.show(now);
      way.show(now);
      setText(over, trouble(now.status));
      setHidden(over, now.status.state === "running");
      const shapes = JSON.stringify([now.masks, now.zones]);
      if (shapes !== drawn) {
        drawn = shapes;
        const made = overlay(now);
        areas.replaceWith(made);
        areas = made;
      }
      setClass(screen, "away", away);
      setClass(screen, "open", now.event !== null);
      if (now.status.width) screen.style.aspectRatio = `${now.status.width} / ${now.status.height}`;
      setText(level, `${now.model ? levelWords(now.level).replace(/^e/, "E") : NO_MODEL}.`);
      setHidden(learn, !now.level);
      setHidden(unmodelled, now.model !== "");
      setText(note, caution(now.level));
      curve.setLevel(now.level);
      curve.marks = events.all();
    };
    const settings = el("div.card.narrow");
    const edit = () => settings.replaceChildren(cameraForm(camera, models, signal, (now) => {
      toast(`${name} is saved`);
      show(now);
      edit();
    }));
    const place = el("div");
    const drop = button("Remove the camera", async () => {
      const words = "It is no longer watched. Its events are kept until they are too old.";
      if (!(await confirmed(`Remove ${name}?`, words, "Remove", signal))) return;
      const done = await attempt(drop, place, async () => {
        await remove(`/api/cameras/${name}`, signal);
        return true;
      });
      if (!done) return;
      toast(`${name} is removed`);
      location.hash = "#/";
    }, { class: "danger" });
    const learn = button("calibrate", () => calibrate(camera, signal));
    const mute = muter(() => camera, signal);
    const right = button("this view is right", async () => {
      const now = await attempt(right, place, () => post(`/api/cameras/${name}/view`, {}, signal));
      if (now) show(now);
    });
    const draw = el("a.button", { href: `#/cameras/${name}/areas` }, "masks and zones");
    const way = wayButton(name);
    const tools = el("div.row", map, learn, mute.node, draw, way.node, right);
    const unmodelled = el("div.warning", { role: "note" }, el("p", "Nothing is scored yet. ",
      el("a", { href: `#/cameras/${name}/learn` }, "See what comes next"), "."));
    root.append(
      back("#/", "Cameras"),
      el("div.head", heading(name), badge.node), unlike.node, unmodelled,
      el("div.split", el("div", screen, tools), el("div.card", table.node)),
      el("div.head.section", el("h2", "Score"), choice),
      curves, level, note,
      el("div.head.section", el("h2", "Recent events"),
        el("a.button", { href: `#/events?camera=${name}` }, "All events")),
      events.node,
      el("h2", "Remembered false alarms"), alarms.node,
      el("h2", "Settings"), settings, place, el("p", drop),
    );
    fresh();
    edit();
    show(camera);
    on("cameras", ({ cameras }) => {
      const now = cameras.find((c) => c.name === name);
      if (now) show(now);
    }, signal);
    on("scores", (news) => news.camera === name && curve.add(news.points), signal);
    whenConnected(() => {
      again();
      past().catch(() => {});
      events.load().catch(() => {});
      alarms.load().catch(() => {});
    }, signal);
    await Promise.all([events.load(), alarms.load()]);
    if (latest.cameras) show(latest.cameras.find((c) => c.name === name) ?? camera);
  },
};
