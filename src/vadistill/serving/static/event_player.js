// An event's clip in a window, with the marks and the way to its neighbours.
import { announce, button, dialog, el, problem, setHidden, setText } from "./elements.js";
import { VERDICTS, length, mark, verdictButtons } from "./event_row.js";
import { on } from "./stream.js";
import { moment, score } from "./words.js";

// id: of the event to begin with; events: gives the list it is part of, newest first;
// changed: hears an event whose mark has changed.
export const openPlayer = ({ id, events, changed, signal }) => {
  const own = new AbortController();
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
      announce(verdict ? `marked as ${VERDICTS[verdict]}` : "mark taken back");
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(problem(error));
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
    const parts = [
      moment(event.start),
      length(event),
      `peak ${score(event.peak)}, level ${score(event.level)}`,
    ];
    if (event.interrupted) parts.push("cut short by a restart");
    setText(about, parts.join(" · "));
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
      : el("p.lost", {}, "no picture");
    if (!event.clip) {
      const open = event.state === "open";
      const why = open ? "The clip is there once the event has ended." : "This event has no clip.";
      screen.replaceChildren(still, el("p.soft", {}, why));
      return;
    }
    const video = el(
      "video",
      {
        controls: true,
        autoplay: true,
        playsinline: true,
        src: `/api/events/${event.id}/clip.mp4`,
      },
    );
    video.muted = true;
    video.onerror = () => {
      if (video.getAttribute("src")) screen.replaceChildren(
        still,
        el("p.soft", { role: "alert" }, "This clip cannot be played."),
      );
    };
    screen.replaceChildren(video);
  };
  const box = dialog(event.camera, signal, screen, about, place,
    el("div.row.spread", {}, el("div.row", {}, newer, older), verdicts.node));
  box.classList.add("player");
  box.tabIndex = -1;
  box.focus(); // keys work at once, and no button looks chosen
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
  on("event", (told) => told.id === event.id && show(told), own.signal);
  show(event);
  setHidden(newer.parentElement, events().length < 2);
  return { get id() { return event.id; }, box };
};
