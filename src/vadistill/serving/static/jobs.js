// @ts-check
// Work on the server: its state in cards, sending a video, and watching one being scored.
import { Curve } from "./curve.js";
import {
  attempt, back, button, confirmed, el, field, heading, noModels, problem, select, setClass,
  setHidden, setText, table, within,
} from "./elements.js";
import { follow } from "./pictures.js";
import { get, on, query, remove, soundModels, upload, whenConnected } from "./server.js";
import { bytes, clock, count, moment, score, span } from "./words.js";

// -- jobs -----------------------------------------------------------------------------------------

const ACTIVE = new Set(["queued", "running"]);

/** @param {ServerJob} job */
const whenWords = (job) => {
  if (job.state === "queued") return `since ${moment(job.created)}`;
  const started = job.started ?? job.created;
  if (job.state === "running") return `started ${moment(started)}`;
  return `${moment(job.ended ?? started)}, took ${span((job.ended ?? started) - started)}`;
};

// State, step and progress of a job, with the button that stops or removes it.
export class JobCard {
  /** @param {ServerJob} job */
  constructor(job, { signal, removed = (_) => {}, link = false, titled = true }) {
    this.title = el("b");
    this.badge = el("span.badge");
    this.step = el("p.soft");
    this.bar = el("progress", { max: 1, "aria-label": `progress of ${job.title}` });
    this.place = el("div");
    this.error = el("div");
    this.act = button("", () => this.#end(signal, removed));
    this.title.hidden = !titled;
    const title = link ? el("a", { href: `#/jobs/${job.id}` }, this.title) : this.title;
    this.node = el("article.card.job", { "data-job": job.id },
      el("div.head", title, this.badge), this.bar, this.step, this.error, this.place,
      el("div.row", this.act));
    this.show(job);
  }

  async #end(signal, removed) {
    const { id, kind, state, title } = this.job;
    const active = ACTIVE.has(state);
    const lost = "What it has learned so far is lost.";
    if (active && kind === "fit" && !(await confirmed(`Stop ${title}?`, lost, "Stop", signal)))
      return;
    const done = await attempt(this.act, this.place, async () => {
      await remove(`/api/jobs/${id}`, signal);
      return true;
    });
    if (!done || active) return; // that it has ended is told as all else of it
    this.node.remove();
    removed(this.job);
  }

  /** @param {ServerJob} job */
  show(job) {
    const failed = job.error && job.error !== this.job?.error;
    this.job = job;
    const active = ACTIVE.has(job.state);
    setText(this.title, job.title || job.kind);
    setText(this.badge, job.state === "queued" ? "waiting" : job.state);
    this.badge.dataset.kind = job.state;
    const part = job.progress === null ? "" : `${Math.round(100 * job.progress)} %`;
    const left = job.left === null ? "" : `about ${span(job.left)} left of this step`;
    const words = [active ? part : "", active ? job.step : "", left, whenWords(job)];
    setText(this.step, words.filter(Boolean).join(" · "));
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
/** @type {(kind: string, signal: AbortSignal, about: { link?: boolean, none: string,
 *    changed?: (job: ServerJob) => void }) => Promise<any>} */
export const jobList = async (kind, signal, { link = false, changed = () => {}, none }) => {
  const cards = new Map();
  const gone = new Set(); // word of a job may come after it was removed
  const place = el("div.jobs");
  const nothing = el("p.soft", none);
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
  whenConnected(() => load().catch(() => {}), signal);
  await load();
  return { node: el("div", nothing, place), show };
};

// -- a video that is being scored: picture with boxes, growing curve, events ----------------------

/** @param {JobResult} result */
const resultNodes = ({ events, frames, level, note }) => {
  if (!events.length) {
    const why = "the score never stayed above the level";
    return [el("p", `No events in ${count(frames, "frame")}: ${why}.`)];
  }
  const rows = events.map((e) => [clock(e.start), clock(e.end), score(e.peak)]);
  const learned = note ? `, ${note}` : ""; // results of earlier versions have none
  const from = Number.isFinite(level) ? `They open at a score of ${score(level)}${learned}.` : "";
  return [
    el("p", `${count(events.length, "event")} in ${count(frames, "frame")}.`),
    ...(from ? [el("p.soft", from)] : []),
    table(["from", "to", "peak"], rows, [0, 1, 2]),
  ];
};

/** @type {(root: HTMLElement, card: HTMLElement, job: ServerJob, signal: AbortSignal)
 *    => (job: ServerJob) => void} */
const watch = (root, card, job, signal) => {
  const canvas = el("canvas", { role: "img", "aria-label": "picture of the video, with boxes" });
  const screen = el("div.picture.large", canvas);
  const curve = new Curve({ label: "score over the video", signal, span: null, tall: true });
  const waiting = el("p.soft", "They are listed once the whole video is scored.");
  const results = el("div", { "aria-live": "polite" }, waiting);
  root.append(
    el("div.split", screen, el("div", card, el("h2", "Events"), results)),
    el("h2", "Score"),
    curve.node,
  );
  const address = `/api/jobs/${job.id}/picture.jpg`;
  let now = job;
  let after = 0;
  let ended = false;
  const picture = () => {
    const last = ended && canvas.classList.contains("has");
    return !after || last ? null : address;
  };
  follow(canvas, picture, signal, 4);
  const read = async () => {
    for (;;) {
      const page = await get(`/api/jobs/${job.id}/scores?after=${after}`, signal);
      curve.add(page.times.map((time, i) => [time, page.scores[i]]));
      if (page.next === after) return;
      after = page.next;
    }
  };
  const finish = () => {
    ended = true;
    const { result } = now;
    if (!result) {
      results.replaceChildren(el("p.soft", "The video was not scored to its end."));
      return;
    }
    curve.marks = result.events;
    curve.setLevel(Number.isFinite(result.level) ? { on: result.level, off: result.level } : null);
    curve.dirty = true;
    results.replaceChildren(...resultNodes(result));
  };
  const loop = async () => {
    const active = ACTIVE.has(now.state);
    try {
      if (now.state !== "queued") await read();
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    if (!active) finish();
    else if (!signal.aborted) setTimeout(loop, 500);
  };
  loop();
  return (job) => (now = job);
};

/** @type {Page} */
export const jobPage = {
  title: "Scoring a video",
  nav: "#/upload",
  async show(root, { signal, part: id }) {
    const job = await get(`/api/jobs/${id}`, signal);
    const [href, parent] = job.kind === "fit" ? ["#/models", "Models"] : ["#/upload", "Upload"];
    const removed = () => (location.hash = href);
    const card = new JobCard(job, { signal, titled: false, removed });
    root.append(back(href, parent), heading(job.title));
    let seen = (_) => {};
    if (job.kind === "score") seen = watch(root, card.node, job, signal);
    else root.append(card.node);
    const show = (now) => {
      card.show(now);
      seen(now);
    };
    on("job", (news) => news.id === id && show(news), signal);
    whenConnected(() => get(`/api/jobs/${id}`, signal).then(show, () => {}), signal);
  },
};

// -- sending a video ------------------------------------------------------------------------------

// Where a video is dropped or picked; `file()` gives it, `ask()` asks for one.
const picker = (changed) => {
  /** @type {File} */
  let file = null;
  const input = el("input.unseen", {
    type: "file", accept: "video/*,.mkv,.avi,.ts,.mpg,.mpeg,.mov,.mp4,.webm", id: "video",
  });
  const name = el("p", { "aria-live": "polite" }, "no video chosen");
  const label = el("label.button", { for: "video" }, "choose one");
  const node = el("div.drop", el("p", "Drop a video here, or"), label, input, name);
  const take = (picked) => {
    if (!picked) return;
    file = picked;
    setText(name, `${file.name}, ${bytes(file.size)}`);
    changed();
  };
  input.onchange = () => take(input.files[0]);
  node.ondragover = (event) => {
    event.preventDefault();
    setClass(node, "over", true);
  };
  node.ondragleave = () => setClass(node, "over", false);
  node.ondrop = (event) => {
    event.preventDefault();
    setClass(node, "over", false);
    take(event.dataTransfer.files[0]);
  };
  const ask = () => {
    setText(name, "Choose a video first.");
    input.focus();
  };
  return { node, file: () => file, ask };
};

/** @type {Page} */
export const uploadPage = {
  title: "Upload",
  nav: "#/upload",
  async show(root, { signal }) {
    root.append(heading("Upload a video"));
    const models = await soundModels(signal);
    if (!models.length) {
      root.append(noModels("A video needs a model to be scored with."));
      return;
    }
    const place = el("div");
    const video = picker(() => place.replaceChildren());
    const model = select(models.map((m) => [m.name, `${m.name} (${m.system})`]));
    const bar = el("progress", { max: 1, value: 0, "aria-label": "sent", hidden: true });
    const sent = el("p.soft", { "aria-live": "off" });
    const stop = button("stop", () => sending?.abort(), { hidden: true });
    let sending = null;
    const submit = el("button.primary", { type: "submit" }, "Score it");
    const form = el("form.card.narrow",
      video.node, field("Model", model), place, bar, sent, el("div.row.end", stop, submit));
    form.onsubmit = async (event) => {
      event.preventDefault();
      const file = video.file();
      if (!file) return video.ask();
      sending = within(signal);
      const shown = (part) => {
        bar.value = part;
        const words = `${Math.round(100 * part)} % of ${bytes(file.size)} sent`;
        setText(sent, part < 1 ? words : "sent; the server looks at it");
      };
      bar.hidden = stop.hidden = false;
      shown(0);
      const asked = query({ model: model.value, title: file.name.slice(0, 120) });
      const job = await attempt(submit, place, () =>
        upload(`/api/uploads${asked}`, file, shown, sending.signal));
      bar.hidden = stop.hidden = true;
      setText(sent, "");
      sending.abort(); // its listener goes, too
      if (job) location.hash = `#/jobs/${job.id}`;
    };
    root.append(form, el("h2", "Scored videos"));
    const none = "None yet. A video that is removed here is also deleted on the server.";
    const jobs = await jobList("score", signal, { link: true, none });
    root.append(jobs.node);
  },
};
