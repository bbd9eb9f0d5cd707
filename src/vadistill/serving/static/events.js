// @ts-check
// The list of events: filters, timeline, clips, marks.
import { calibrate } from "./camera_settings.js";
import {
  button, el, empty, every, heading, setHidden, setText, showProblem, showRows, within,
} from "./elements.js";
import { EventRow, mark, openPlayer } from "./event.js";
import { bounds, filterBar, fits, strip } from "./event_filters.js";
import { allCameras, get, latest, on, query, whenConnected } from "./server.js";
import { count, zone } from "./words.js";

const PAGE = 50;
const MOST = 500; // rows; older ones are found with the filters
const KEYS = [
  ["j", "k", "next, previous"],
  ["Enter", "play"],
  ["r", "real"],
  ["f", "false alarm"],
  ["u", "unmark"],
];
const keyWords = () =>
  el("p.soft.keys", "Keys: ", KEYS.map(([...parts]) => {
    const words = parts.pop();
    return [...parts.map((key) => el("kbd", key)), ` ${words}  `];
  }).flat());
const nothing = (filtered) =>
  filtered
    ? empty("No events match these filters.", "Choose a longer time or another camera.",
      button("Show all events", () => (location.hash = "#/events")))
    : empty("No events yet.",
      "They appear here by themselves, as soon as a camera's score stays above its level.",
      el("a.button", { href: "#/" }, "See the cameras"));

/** @type {Page} */
export const page = {
  title: "Events",
  nav: "#/events",
  async show(root, { signal, query: asked, setQuery }) {
    /** @type {EventFilter} */
    let filter = { ...asked };
    let events = /** @type {CameraEvent[]} */ ([]); // newest first
    let total = 0;
    let active = null;
    let player = null;
    let asking = within(signal);
    /** @type {Map<number, EventRow>} */
    const rows = new Map();
    const marked = new Map(); // camera -> ids of false alarms that were marked here
    const list = el("ol.events", { "aria-label": "events, newest first" });
    const summary = el("p.soft", { "aria-live": "polite" });
    const place = el("div");
    const offer = el("div.offer", { role: "status", hidden: true });
    const none = el("div");
    const more = button("Show older events", () => load(events[events.length - 1]?.id));
    const timeline = strip((id) => focus(id), signal);

    const focused = (id) => (active = id);
    const draw = () => {
      showRows(list, rows, events, (event) => event.id,
        (event) => new EventRow(event, { play, choose, focused }));
      const { since, until } = bounds(filter);
      timeline.draw(events, since, until);
      const filtered = Object.values(filter).some(Boolean);
      const words = `${events.length} of ${count(total, "event")}, times in ${zone}`;
      setText(summary, total ? words : "");
      setHidden(more, events.length >= total || events.length >= MOST || !events.length);
      none.replaceChildren(...(events.length ? [] : [nothing(filtered)]));
    };
    const load = async (before = null) => {
      if (before === null) {
        asking.abort();
        asking = within(signal);
      }
      place.replaceChildren();
      const { camera, verdict } = filter;
      try {
        const wanted = query({ camera, verdict, ...bounds(filter), before, limit: PAGE });
        const found = await get(`/api/events${wanted}`, asking.signal);
        if (before === null) {
          total = found.total;
          events = found.events;
        } else events = [...events, ...found.events.filter((e) => !rows.has(e.id))];
        draw();
      } catch (error) {
        showProblem(place, error);
      }
    };
    const merge = (event) => {
      const known = events.some((e) => e.id === event.id);
      // A mark that no longer fits the filter stays in sight until the list is loaded anew.
      if (known) events = events.map((e) => (e.id === event.id ? event : e));
      else if (fits(event, filter)) {
        events = [event, ...events].sort((a, b) => b.start - a.start).slice(0, MOST);
        total += 1;
      } else return;
      draw();
    };
    const focus = (id) => {
      const row = rows.get(id);
      if (!row) return;
      active = id;
      row.node.focus({ preventScroll: true });
      row.node.scrollIntoView({ block: "nearest" });
    };
    const play = (id) => {
      focus(id);
      player = openPlayer({ id, events: () => events, changed: noted, signal });
      player?.box.addEventListener("close", () => {
        focus(player.id);
        player = null;
      });
    };
    const noted = (event) => {
      merge(event);
      if (!marked.has(event.camera)) marked.set(event.camera, new Set());
      if (event.verdict === "false") marked.get(event.camera).add(event.id);
      else marked.get(event.camera).delete(event.id);
      suggest();
    };
    const suggest = () => {
      const [name, { size: times }] = [...marked].reduce(
        (a, b) => (b[1].size > a[1].size ? b : a),
        ["", new Set()],
      );
      setHidden(offer, !times);
      if (!times) return;
      const known = latest.cameras?.find((c) => c.name === name);
      const later = () => {
        marked.delete(name);
        suggest();
      };
      const learn = button("Calibrate", async () => {
        try {
          calibrate(known ?? (await get(`/api/cameras/${name}`, signal)), signal, later);
        } catch (error) {
          showProblem(place, error);
        }
      }, { class: "primary" });
      const words =
        `${count(times, "false alarm")} marked on ${name}. ` +
        "Learn its level anew, so that such scores no longer open events?";
      offer.replaceChildren(el("p", words), el("div.row", learn, button("Not now", later)));
    };
    const choose = async (id, verdict) => {
      place.replaceChildren();
      const event = events.find((e) => e.id === id);
      try {
        noted(await mark(event, verdict, signal));
      } catch (error) {
        showProblem(place, error);
      }
    };
    const step = (by) => {
      const i = events.findIndex((e) => e.id === active);
      const next = events[i < 0 ? 0 : Math.min(events.length - 1, Math.max(0, i + by))];
      if (next) focus(next.id);
    };
    document.addEventListener("keydown", (pressed) => {
      if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
      if (document.querySelector("dialog[open]")) return;
      const at = /** @type {Element} */ (pressed.target);
      if (at.closest("input, select, textarea")) return;
      const onRow = at.closest("li.event") === at;
      const action = {
        j: () => step(1),
        k: () => step(-1),
        Enter: active !== null && onRow && (() => play(active)),
        r: active !== null && (() => choose(active, "real")),
        f: active !== null && (() => choose(active, "false")),
        u: active !== null && (() => choose(active, null)),
      }[pressed.key];
      if (!action) return;
      pressed.preventDefault();
      action();
    }, { signal });

    // An open event grows, and its picture comes a moment after its first word.
    every(2000, () => {
      for (const { id } of events.filter((e) => e.state === "open").slice(0, 16))
        get(`/api/events/${id}`, signal).then(merge, () => {});
    }, signal);

    const cameras = await allCameras(signal);
    const bar = filterBar(filter, cameras.map((c) => c.name), (now) => {
      filter = now;
      active = null;
      setQuery(now);
      load();
    });
    root.append(
      heading("Events"), bar, summary, timeline.node, offer, place, keyWords(), list, none,
      el("p", more),
    );
    setHidden(more, true);
    on("event", merge, signal);
    whenConnected(load, signal);
    await load();
    const wanted = Number(asked.event);
    if (wanted && rows.has(wanted)) play(wanted);
  },
};
