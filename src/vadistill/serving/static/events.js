// The list of events: filters, timeline, clips, marks.
import { get, query } from "./api.js";
import {
  announce,
  button,
  el,
  empty,
  problem,
  setHidden,
  setText,
} from "./elements.js";
import { bounds, filterBar, fits } from "./event_filters.js";
import { openPlayer } from "./event_player.js";
import { EventRow, VERDICTS, mark } from "./event_row.js";
import { strip } from "./event_strip.js";
import { calibrate } from "./level.js";
import { latest, on } from "./stream.js";
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
  el("p.soft.keys", {}, "Keys: ", KEYS.map(([...parts]) => {
    const words = parts.pop();
    return [...parts.map((key) => el("kbd", {}, key)), ` ${words}  `];
  }).flat());

export const page = {
  title: "Events",
  nav: "#/events",
  async show(root, { signal, query: asked, setQuery }) {
    let filter = { ...asked };
    let events = []; // newest first
    let total = 0;
    let active = null;
    let player = null;
    let asking = new AbortController();
    const rows = new Map();
    const marked = new Map(); // camera -> ids of false alarms that were marked here
    const list = el("ol.events", { "aria-label": "events, newest first" });
    const summary = el("p.soft", { "aria-live": "polite" });
    const place = el("div");
    const offer = el("div.offer", { role: "status", hidden: true });
    const none = el("div");
    const more = button("Show older events", () => load(events[events.length - 1]?.id));
    const timeline = strip((id) => focus(id), signal);

    const draw = () => {
      const ids = new Set(events.map((e) => e.id));
      for (const [id, row] of rows)
        if (!ids.has(id)) {
          row.node.remove();
          rows.delete(id);
        }
      events.forEach((event, i) => {
        let row = rows.get(event.id);
        if (row) row.show(event);
        else {
          row = new EventRow(event, { play, mark: choose, focused: (id) => (active = id) });
          rows.set(event.id, row);
        }
        if (list.children[i] !== row.node) list.insertBefore(row.node, list.children[i] ?? null);
      });
      const { since, until } = bounds(filter);
      timeline.draw(events, since, until);
      const filtered = Object.values(filter).some(Boolean);
      setText(
        summary,
        total ? `${events.length} of ${count(total, "event")}, times in ${zone}` : "",
      );
      setHidden(more, events.length >= total || events.length >= MOST || !events.length);
      none.replaceChildren(...(events.length ? [] : [
        filtered
          ? empty(
            "No events match these filters.",
            "Choose a longer time or another camera.",
            button("Show all events", () => (location.hash = "#/events")),
          )
          : empty(
            "No events yet.",
            "They appear here by themselves, as soon as a camera's score stays above its level.",
            el("a.button", { href: "#/" }, "See the cameras"),
          ),
      ]));
    };
    const load = async (before = null) => {
      if (before === null) {
        asking.abort();
        asking = new AbortController();
        signal.addEventListener("abort", () => asking.abort(), { signal: asking.signal });
      }
      place.replaceChildren();
      const { camera, verdict } = filter;
      try {
        const found = await get(
          `/api/events${query({ camera, verdict, ...bounds(filter), before, limit: PAGE })}`,
          asking.signal,
        );
        if (before === null) total = found.total;
        events = before === null ? found.events : [
          ...events,
          ...found.events.filter((e) => !rows.has(e.id)),
        ];
        draw();
      } catch (error) {
        if (error.name !== "AbortError") place.replaceChildren(problem(error));
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
      offer.replaceChildren(
        el(
          "p",
          {},
          `${count(times, "false alarm")} marked on ${name}. ` +
            "Learn its level anew, so that such scores no longer open events?",
        ),
        el("div.row", {},
          button("Calibrate", async () => {
            try {
              calibrate(known ?? (await get(`/api/cameras/${name}`, signal)), signal, later);
            } catch (error) {
              if (error.name !== "AbortError") place.replaceChildren(problem(error));
            }
          }, { class: "primary" }),
          button("Not now", later)),
      );
    };
    const choose = async (id, verdict) => {
      place.replaceChildren();
      const event = events.find((e) => e.id === id);
      try {
        noted(await mark(event, verdict, signal));
        announce(verdict ? `marked as ${VERDICTS[verdict]}` : "mark taken back");
      } catch (error) {
        if (error.name !== "AbortError") place.replaceChildren(problem(error));
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
      if (pressed.target.closest("input, select, textarea")) return;
      const onRow = pressed.target.closest("li.event") === pressed.target;
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
    const growing = setInterval(() => {
      if (document.hidden) return;
      for (const { id } of events.filter((e) => e.state === "open").slice(0, 16))
        get(`/api/events/${id}`, signal).then(merge, () => {});
    }, 2000);
    signal.addEventListener("abort", () => clearInterval(growing), { once: true });

    const cameras = latest.cameras ?? (await get("/api/cameras", signal)).cameras;
    const bar = filterBar(filter, cameras.map((c) => c.name), (now) => {
      filter = now;
      active = null;
      setQuery(now);
      load();
    });
    root.append(
      el("h1", { tabindex: -1 }, "Events"),
      bar,
      summary,
      timeline.node,
      offer,
      place,
      keyWords(),
      list,
      none,
      el("p", {}, more),
    );
    setHidden(more, true);
    on("event", merge, signal);
    on("state", (state) => state === "connected" && load(), signal);
    await load();
    const wanted = Number(asked.event);
    if (wanted && rows.has(wanted)) play(wanted);
  },
};
