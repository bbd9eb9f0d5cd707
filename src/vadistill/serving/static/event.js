// @ts-check
// One event: as a row of the list, as a small figure, and its clip in a window.
import {
  announce, button, dialog, el, setClass, setHidden, setText, showProblem, within,
} from "./elements.js";
import { on, patch } from "./server.js";
import { dayName, moment, score, span, timeOfDay } from "./words.js";

const VERDICTS = { real: "real", false: "false alarm" };

// Marks an event and says so; null takes the mark back.  Gives the event as it is then.
/** @type {(event: CameraEvent, verdict: Verdict, signal: AbortSignal) => Promise<CameraEvent>} */
export const mark = async (event, verdict, signal) => {
  const marked = await patch(`/api/events/${event.id}`, { verdict }, signal);
  announce(verdict ? `marked as ${VERDICTS[verdict]}` : "mark taken back");
  return marked;
};

/** @param {CameraEvent} event */
const length = (event) => (event.state === "open" ? "going on" : span(event.duration ?? 0));

/** @param {CameraEvent} event */
const figures = (event) =>
  [event.zone && `in ${event.zone}`, event.reason].filter(Boolean).map((w) => `${w} · `).join("") +
  `peak ${score(event.peak)}, level ${score(event.level)}` +
  (event.interrupted ? " · cut short by a restart" : event.cause ? ` · ended: ${event.cause}` : "");

// The picture, or words where there is none; a new one is asked for when the event has grown.
/** @param {CameraEvent} event */
const thumbnail = (event) => {
  if (!event.thumbnail) return el("span.lost", "no picture");
  const address = `/api/events/${event.id}/thumbnail.jpg?at=${event.state}-${score(event.peak)}`;
  const image = el("img", {
    src: address, alt: `event ${moment(event.start)} on ${event.camera}`,
    loading: "lazy", decoding: "async",
  });
  // That of an open event may be replaced while it is read.
  let again = 2;
  image.onerror = () => again-- > 0 && setTimeout(() => (image.src = `${address}-${again}`), 1500);
  return image;
};

/** @type {(event: CameraEvent, onclick: () => void) => HTMLElement} */
export const eventFigure = (event, onclick) => {
  const label = `play the event of ${moment(event.start)}`;
  const verdict = event.verdict ? ` · ${VERDICTS[event.verdict]}` : "";
  return el("figure",
    el("button", { type: "button", onclick, "aria-label": label }, thumbnail(event)),
    el("figcaption", `${moment(event.start)} · ${length(event)}${verdict}`));
};

// Two buttons of which at most one is pressed; a second press takes the mark back.
/** @type {(current: () => Verdict, choose: (verdict: Verdict) => void) => any} */
const verdictButtons = (current, choose) => {
  const make = (verdict, words, key) =>
    button(words, () => choose(current() === verdict ? null : verdict), {
      class: `verdict ${verdict}`, "aria-keyshortcuts": key,
    });
  const real = make("real", "real", "r");
  const wrong = make("false", "false alarm", "f");
  return {
    node: el("div.row.verdicts", { role: "group", "aria-label": "what it was" }, real, wrong),
    show: () => {
      real.setAttribute("aria-pressed", String(current() === "real"));
      wrong.setAttribute("aria-pressed", String(current() === "false"));
    },
  };
};

export class EventRow {
  /** @param {CameraEvent} event */
  constructor(event, { play, choose, focused }) {
    this.event = event;
    this.picture = el("button.thumb", { type: "button", onclick: () => play(this.event.id) });
    this.title = el("b");
    this.when = el("span");
    this.figures = el("span.soft");
    this.badge = el("span.badge", { "data-kind": "event" }, "going on");
    this.verdicts = verdictButtons(
      () => this.event.verdict, (verdict) => choose(this.event.id, verdict));
    this.node = el("li.event", { tabindex: -1, "data-event": event.id },
      this.picture,
      el("div.about", el("p", this.title, this.badge), el("p", this.when), el("p", this.figures)),
      this.verdicts.node);
    this.node.addEventListener("focusin", () => focused(this.event.id));
    this.drawn = "";
    this.show(event);
  }

  /** @param {CameraEvent} event */
  show(event) {
    this.event = event;
    const looks = `${event.thumbnail}${event.state}${score(event.peak)}`;
    if (looks !== this.drawn) this.picture.replaceChildren(thumbnail(event));
    this.drawn = looks;
    const label = `play the event of ${moment(event.start)} on ${event.camera}`;
    this.picture.setAttribute("aria-label", label);
    setText(this.title, event.camera);
    setText(this.when, `${dayName(event.start)} ${timeOfDay(event.start)} · ${length(event)}`);
    setText(this.figures, figures(event));
    this.badge.hidden = event.state !== "open";
    setClass(this.node, "open", event.state === "open");
    this.verdicts.show();
  }
}

// id: of the event to begin with; events: gives the list it is part of, newest first;
// changed: hears an event whose mark has changed.
/** @type {(about: { id: number, events: () => CameraEvent[], signal: AbortSignal,
 *    changed: (event: CameraEvent) => void }) => { id: number, box: HTMLElement } | undefined} */
export const openPlayer = ({ id, events, changed, signal }) => {
  const own = within(signal);
  let event = events().find((e) => e.id === id);
  if (!event) return;
  const screen = el("div.screen");
  const about = el("p", { "aria-live": "polite" });
  const place = el("div");
  const choose = async (verdict) => {
    place.replaceChildren();
    try {
      // Not ended with the window: it may be closed right after a key.
      const marked = await mark(event, verdict, signal);
      if (marked.id === event.id) event = marked;
      changed(marked);
      words();
    } catch (error) {
      showProblem(place, error);
    }
  };
  const verdicts = verdictButtons(() => event.verdict, choose);
  const step = (by) => {
    const list = events();
    const next = list[list.findIndex((e) => e.id === event.id) + by];
    if (next) show(next);
  };
  const newer = button("newer", () => step(-1), { "aria-keyshortcuts": "k" });
  const older = button("older", () => step(1), { "aria-keyshortcuts": "j" });
  const stopVideo = () => {
    const video = screen.querySelector("video");
    if (!video) return;
    video.pause();
    video.removeAttribute("src"); // ends the request
    video.load();
  };
  const words = () => {
    setText(about, [moment(event.start), length(event), figures(event)].join(" · "));
    verdicts.show();
    const list = events();
    const i = list.findIndex((e) => e.id === event.id);
    newer.disabled = i <= 0;
    older.disabled = i < 0 || i === list.length - 1;
  };
  const show = (now) => {
    const same = now.id === event.id && screen.firstChild && now.clip === event.clip;
    event = now;
    words();
    setText(box.querySelector("h2"), event.camera);
    if (same) return;
    stopVideo();
    place.replaceChildren();
    const still = event.thumbnail
      ? el("img", { src: `/api/events/${event.id}/thumbnail.jpg`, alt: "the event's peak" })
      : el("p.lost", "no picture");
    if (!event.clip) {
      const open = event.state === "open";
      const why = open ? "The clip is there once the event has ended." : "This event has no clip.";
      screen.replaceChildren(still, el("p.soft", why));
      return;
    }
    const src = `/api/events/${event.id}/clip.mp4`;
    const video = el("video", { controls: true, autoplay: true, playsinline: true, src });
    video.muted = true;
    video.onerror = () => {
      if (!video.getAttribute("src")) return;
      const words = el("p.soft", { role: "alert" }, "This clip cannot be played.");
      screen.replaceChildren(still, words);
    };
    screen.replaceChildren(video);
  };
  const box = dialog(event.camera, signal, screen, about, place,
    el("div.row.spread", el("div.row", newer, older), verdicts.node));
  box.classList.add("player");
  box.tabIndex = -1;
  box.focus(); // keys work at once, and no button looks pressed
  box.addEventListener("close", () => {
    own.abort();
    stopVideo();
  });
  box.addEventListener("keydown", (pressed) => {
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    const action = {
      j: () => step(1),
      k: () => step(-1),
      r: () => choose("real"),
      f: () => choose("false"),
      u: () => choose(null),
    }[pressed.key];
    if (!action) return;
    pressed.preventDefault();
    pressed.stopPropagation();
    action();
  });
  on("event", (news) => news.id === event.id && show(news), own.signal);
  show(event);
  setHidden(newer.parentElement, events().length < 2);
  return { get id() { return event.id; }, box };
};
