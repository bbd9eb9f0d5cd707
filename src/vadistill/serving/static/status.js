// @ts-check
// Where events are sent, how the cameras fare, and what the server is.
import { el, facts, heading, setText, table } from "./elements.js";
import { allCameras, get, latest, on, session } from "./server.js";
import { sinkList } from "./sinks.js";
import { STATES } from "./wall.js";
import { count, fixed, percent, zone } from "./words.js";

const EVERY = 5000; // ms between two drawings of the cameras
const CONNECTION = {
  connecting: "connecting …", connected: "connected", lost: "lost; trying again",
};
const CAMERAS = ["name", "state", "in", "scored", "dropped", "latency", "reconnects"];

const badge = (state, kind = state) => el("span.badge", { "data-kind": kind }, state);

/** @param {Camera} camera */
const cameraRow = ({ name, status: s, event }) => [
  el("a", { href: `#/cameras/${name}` }, name),
  event === null ? badge(STATES[s.state], s.state) : badge("event"),
  fixed(s.input_fps, 1),
  fixed(s.scored_fps, 1),
  percent(s.drop_share),
  s.latency_ms ? `${Math.round(s.latency_ms.median)} ms` : "–",
  String(s.reconnects),
];
const noCameras = () =>
  el("p.soft", "No cameras yet. ", el("a", { href: "#/add" }, "Add one"), ".");

// What the server is, in names and words.
const serverFacts = (connection) =>
  facts([
    ["Version", session.version],
    ["Connection", connection],
    ["Protected by", session.required ? "a password" : "being reachable from this machine only"],
    ["Time zone", zone],
    ["API", el("a", { href: "/openapi.json" }, "OpenAPI description")],
    ["Monitoring", el("a", { href: "/metrics" }, "metrics for Prometheus")],
  ]);

// What the server goes by; words say the default where it is not that.
/** @param {ServerState} state */
const settingsFacts = ({ password, token, settings, defaults }) => {
  const none = "none";
  const listed = (values) => values.join(", ") || none;
  /** @type {[string, string, (entries: Entries) => string][]} */
  const rows = [
    ["Events are kept", "keep_days", ({ storage }) => count(storage.keep_days, "day")],
    ["Clips, recordings, uploads", "keep_gb", ({ storage }) => `${storage.keep_gb} GB at most`],
    ["Largest upload", "upload_mb", ({ server }) => `${server.upload_mb} MB`],
    ["Further host names", "names", ({ server }) => listed(server.names)],
    ["Trusted proxies", "proxies", ({ server }) => listed(server.proxies)],
  ];
  const secret = (set, option) => (set ? "set" : `none; vadistill serve --${option} sets one`);
  return facts([
    ["Password", secret(password, "set-password")],
    ["Token for scripts", secret(token, "new-token")],
    ...rows.map(([label, entry, words]) => {
      const usual = words(defaults);
      const now = words(settings);
      const more = now === usual ? "the default" : `default: ${usual}`;
      return [label, el("span", now, el("span.soft", ` (${entry}, ${more})`))];
    }),
  ]);
};

/** @type {Page} */
export const page = {
  title: "Status",
  nav: "#/status",
  async show(root, { signal }) {
    const sinks = sinkList(signal);
    const cameras = el("div");
    const settings = el("div.card", el("p.soft", "One moment …"));
    const connection = el("span", CONNECTION[latest.state]);
    /** @param {Camera[]} list */
    const show = (list) => {
      const numeric = [2, 3, 4, 5, 6];
      cameras.replaceChildren(
        list.length ? table(CAMERAS, list.map(cameraRow), numeric) : noCameras());
    };
    root.append(
      heading("Status"),
      el("div.head.section", el("h2", "Where events are sent"), sinks.add), sinks.node,
      el("h2", "Cameras"), cameras,
      el("h2", "Server"), el("div.card", serverFacts(connection)),
      el("h2", "Settings"), settings,
      el("p.soft", "Secrets are set by these commands, the rest of these in the settings file; " +
        "all but secrets counts from the next start on."),
    );
    let drawn = 0;
    on("cameras", (news) => {
      // A table that is drawn anew each second could not be read out or selected.
      if (performance.now() - drawn < EVERY || cameras.contains(document.activeElement)) return;
      drawn = performance.now();
      show(news.cameras);
    }, signal);
    on("state", (state) => setText(connection, CONNECTION[state]), signal);
    show(await allCameras(signal));
    settings.replaceChildren(settingsFacts(await get("/api/settings", signal)));
    await sinks.load();
  },
};
