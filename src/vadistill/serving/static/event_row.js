// One event: as a row of the list, and as a small figure.
import { patch } from "./api.js";
import { button, el, setClass, setText } from "./elements.js";
import { dayName, moment, score, span, timeOfDay } from "./words.js";

export const VERDICTS = { real: "real", false: "false alarm" };

export const mark = (event, verdict, signal) => patch(
  `/api/events/${event.id}`,
  { verdict },
  signal,
);

export const length = (event) => (event.state === "open" ? "going on" : span(event.duration ?? 0));

// The picture, or words where there is none; a new one is asked for when the event has grown.
const thumbnail = (event) => {
  if (!event.thumbnail) return el("span.lost", {}, "no picture");
  const address = `/api/events/${event.id}/thumbnail.jpg?at=${event.state}-${score(event.peak)}`;
  const image = el("img", {
    src: address,
    alt: `event ${moment(event.start)} on ${event.camera}`,
    loading: "lazy",
    decoding: "async",
  });
  // That of an open event may be replaced while it is read.
  let again = 2;
  image.onerror = () => again-- > 0 && setTimeout(() => (image.src = `${address}-${again}`), 1500);
  return image;
};

export const eventFigure = (event, onclick) =>
  el("figure", {},
    el(
      "button",
      { type: "button", onclick, "aria-label": `play the event of ${moment(event.start)}` },
      thumbnail(event),
    ),
    el("figcaption", {}, `${moment(event.start)} · ${length(event)}`,
      event.verdict ? ` · ${VERDICTS[event.verdict]}` : ""));

// Two buttons of which at most one is pressed; a second press takes the mark back.
export const verdictButtons = (current, chosen) => {
  const make = (verdict, words, key) =>
    button(words, () => chosen(current() === verdict ? null : verdict), {
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
  constructor(event, { play, mark: chosen, focused }) {
    this.event = event;
    this.picture = el("button.thumb", { type: "button", onclick: () => play(this.event.id) });
    this.title = el("b");
    this.when = el("span");
    this.figures = el("span.soft");
    this.badge = el("span.badge", { "data-kind": "event" }, "going on");
    this.verdicts = verdictButtons(
      () => this.event.verdict,
      (verdict) => chosen(this.event.id, verdict),
    );
    this.node = el("li.event", { tabindex: -1, "data-event": event.id },
      this.picture,
      el("div.about", {},
        el("p", {}, this.title, this.badge), el("p", {}, this.when), el("p", {}, this.figures)),
      this.verdicts.node);
    this.node.addEventListener("focusin", () => focused(this.event.id));
    this.drawn = "";
    this.show(event);
  }

  show(event) {
    this.event = event;
    const looks = `${event.thumbnail}${event.state}${score(event.peak)}`;
    if (looks !== this.drawn) this.picture.replaceChildren(thumbnail(event));
    this.drawn = looks;
    this.picture.setAttribute(
      "aria-label",
      `play the event of ${moment(event.start)} on ${event.camera}`,
    );
    setText(this.title, event.camera);
    const day = dayName(event.start);
    setText(this.when, `${day} ${timeOfDay(event.start)} · ${length(event)}`);
    setText(
      this.figures,
      `peak ${score(event.peak)}, level ${score(event.level)}` +
        (event.interrupted ? " · cut short by a restart" : ""),
    );
    this.badge.hidden = event.state !== "open";
    setClass(this.node, "open", event.state === "open");
    this.verdicts.show();
  }
}
