// Work on the server: fitting a model, scoring an uploaded video.
import { get, remove } from "./api.js";
import { Curve } from "./curve.js";
import {
  attempt,
  button,
  confirmed,
  el,
  problem,
  setClass,
  setHidden,
  setText,
} from "./elements.js";
import { follow } from "./pictures.js";
import { on } from "./stream.js";
import { clock, count, moment, score, span } from "./words.js";

const ACTIVE = new Set(["queued", "running"]);
const WORDS = {
  queued: "waiting",
  running: "running",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
};

const whenWords = (job) => {
  if (job.state === "queued") return `since ${moment(job.created)}`;
  const started = job.started ?? job.created;
  if (job.state === "running") return `started ${moment(started)}`;
  return `${moment(job.ended ?? started)}, took ${span((job.ended ?? started) - started)}`;
};

// State, step and progress of a job, with the button that stops or removes it.
export class JobCard {
  constructor(job, { signal, removed, link = false, titled = true }) {
    this.title = el("b");
    this.badge = el("span.badge");
    this.step = el("p.soft");
    this.bar = el("progress", { max: 1, "aria-label": `progress of ${job.title}` });
    this.place = el("div");
    this.error = el("div");
    this.act = button("", async () => {
      const active = ACTIVE.has(this.job.state);
      if (active && this.job.kind === "fit") {
        const sure = await confirmed(
          `Stop ${this.job.title}?`,
          "What it has learned so far is lost.",
          "Stop",
          signal,
        );
        if (!sure) return;
      }
      const done = await attempt(
        this.act,
        this.place,
        async () => (await remove(`/api/jobs/${this.job.id}`, signal), true),
      );
      if (!done) return;
      if (!active) {
        this.node.remove();
        removed?.(this.job);
        return;
      }
      const now = await get(`/api/jobs/${this.job.id}`, signal).catch(() => null);
      if (now) this.show(now);
    });
    this.title.hidden = !titled;
    const heading = link ? el("a", { href: `#/jobs/${job.id}` }, this.title) : this.title;
    this.node = el(
      "article.card.job",
      { "data-job": job.id },
      el("div.head", {}, heading, this.badge),
      this.bar,
      this.step,
      this.error,
      this.place,
      el("div.row", {}, this.act),
    );
    this.show(job);
  }

  show(job) {
    const failed = job.error && job.error !== this.job?.error;
    this.job = job;
    const active = ACTIVE.has(job.state);
    setText(this.title, job.title || job.kind);
    setText(this.badge, WORDS[job.state]);
    this.badge.dataset.kind = job.state;
    const share = job.progress === null ? "" : `${Math.round(100 * job.progress)} %`;
    setText(
      this.step,
      [active ? share : "", active ? job.step : "", whenWords(job)].filter(Boolean).join(" · "),
    );
    setHidden(this.bar, !active);
    // Without a value the bar says "under way".
    if (job.progress === null) this.bar.removeAttribute("value");
    else this.bar.value = job.progress;
    if (failed) this.error.replaceChildren(problem(new Error(job.error)));
    setText(this.act, active ? "stop" : "remove");
    this.act.setAttribute("aria-label", `${active ? "stop" : "remove"} ${job.title}`);
    setClass(this.node, "active", active);
  }
}

// The jobs of one kind, kept up to date; `changed` hears each of them.
export const jobList = async (
  kind,
  signal,
  { link = false, changed = () => {}, none = "" } = {},
) => {
  const cards = new Map();
  const gone = new Set(); // word of a job may come after it was removed
  const place = el("div.jobs");
  const nothing = el("p.soft", {}, none);
  const show = (job) => {
    if (job.kind !== kind || gone.has(job.id)) return;
    const card = cards.get(job.id);
    if (card) card.show(job);
    else {
      const removed = ({ id }) => {
        gone.add(id);
        cards.delete(id);
        setHidden(nothing, cards.size > 0);
      };
      const made = new JobCard(job, { signal, link, removed });
      cards.set(job.id, made);
      place.prepend(made.node);
    }
    setHidden(nothing, cards.size > 0);
    changed(job);
  };
  const load = async () => {
    const { jobs } = await get("/api/jobs", signal);
    jobs.sort((a, b) => a.created - b.created).forEach(show);
  };
  on("job", show, signal);
  on("state", (state) => state === "connected" && load().catch(() => {}), signal);
  await load();
  return { node: el("div", {}, nothing, place), show };
};

const found = (result) => {
  const { events, frames, level } = result;
  const head = el("p", {}, events.length
    ? `${count(events.length, "event")} in ${count(frames, "frame")}.`
    : `No events in ${count(frames, "frame")}: the score never stayed above the level.`);
  if (!events.length) return [head];
  const row = (e) => el(
    "tr",
    {},
    el("td.n", {}, clock(e.start)),
    el("td.n", {}, clock(e.end)),
    el("td.n", {}, score(e.peak)),
  );
  return [head,
    level === null || level === undefined ? null : el(
      "p.soft",
      {},
      `They open at a score of ${score(level)}.`,
    ),
    el("div.scroll", {}, el("table", {},
      el(
        "thead",
        {},
        el("tr", {}, ["from", "to", "peak"].map((words) => el("th.n", { scope: "col" }, words))),
      ),
      el("tbody", {}, events.map(row))))].filter(Boolean);
};

// A video that is being scored: picture with boxes, growing curve, events.
const watch = (root, card, job, signal) => {
  const canvas = el("canvas", { role: "img", "aria-label": "picture of the video, with boxes" });
  const screen = el("div.picture.large", {}, canvas);
  const curve = new Curve({ label: "score over the video", signal, span: null, tall: true });
  const results = el(
    "div",
    { "aria-live": "polite" },
    el("p.soft", {}, "They are listed once the whole video is scored."),
  );
  root.append(
    el("div.split", {}, screen, el("div", {}, card, el("h2", {}, "Events"), results)),
    el("h2", {}, "Score"),
    curve.node,
  );
  let now = job;
  let after = 0;
  let told = false;
  let ended = false;
  follow(
    canvas,
    () => {
      const last = ended && canvas.classList.contains("has");
      return !after || last ? null : `/api/jobs/${job.id}/picture.jpg`;
    },
    signal,
    4,
  );
  const read = async () => {
    for (;;) {
      const page = await get(`/api/jobs/${job.id}/scores?after=${after}`, signal);
      curve.add(page.times.map((time, i) => [time, page.scores[i]]));
      if (page.next === after) return;
      after = page.next;
    }
  };
  const finish = () => {
    if (told) return;
    told = true;
    const { result } = now;
    if (!result) return results.replaceChildren(el(
      "p.soft",
      {},
      "The video was not scored to its end.",
    ));
    curve.marks = result.events;
    curve.setLevel(Number.isFinite(result.level) ? { on: result.level, off: result.level } : null);
    curve.dirty = true;
    results.replaceChildren(...found(result));
  };
  const loop = async () => {
    const active = ACTIVE.has(now.state);
    try {
      if (now.state !== "queued") await read();
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    if (!active) {
      ended = true;
      finish();
    }
    if (!told && !signal.aborted) setTimeout(loop, 500);
  };
  loop();
  return (job) => (now = job);
};

export const page = {
  title: "Scoring a video",
  nav: "#/upload",
  async show(root, { signal, part: id }) {
    const job = await get(`/api/jobs/${id}`, signal);
    const card = new JobCard(
      job,
      {
        signal,
        titled: false,
        removed: () => (location.hash = job.kind === "fit" ? "#/models" : "#/upload"),
      },
    );
    root.append(el(
      "p.soft",
      {},
      job.kind === "fit" ? el(
        "a",
        { href: "#/models" },
        "Models",
      ) : el("a", { href: "#/upload" }, "Upload"),
    ),
      el("h1", { tabindex: -1 }, job.title));
    let seen = () => {};
    if (job.kind === "score") seen = watch(root, card.node, job, signal);
    else root.append(card.node);
    const show = (now) => {
      card.show(now);
      seen(now);
    };
    on("job", (told) => told.id === id && show(told), signal);
    on("state", (state) => {
      if (state === "connected") get(`/api/jobs/${id}`, signal).then(show, () => {});
    }, signal);
  },
};
