// What the server tells by itself: cameras, scores, events and jobs, over one connection.

const KINDS = ["cameras", "scores", "event", "job"];
const SILENCE = 12000; // ms; cameras are told once a second
const UNSEEN = 60000; // ms after which a page that nobody sees lets go of its connection
const RETRY = [1000, 2000, 4000, 8000];

const listeners = new Map([...KINDS, "state"].map((kind) => [kind, new Set()]));
let source = null;
let heard = 0;
let tries = 0;
let retry = null;
let watch = null;
let unseen = null;

// The last list of cameras, so that a page has something to show at once.
export const latest = { cameras: null, state: "connecting" };

export const on = (kind, listener, signal) => {
  const group = listeners.get(kind);
  group.add(listener);
  signal.addEventListener("abort", () => group.delete(listener), { once: true });
};

const tell = (kind, data) => {
  for (const listener of [...listeners.get(kind)]) listener(data);
};

const state = (now) => {
  if (latest.state === now) return;
  latest.state = now;
  tell("state", now);
};

const connect = () => {
  clearTimeout(retry);
  source?.close();
  const mine = new EventSource("/api/stream");
  source = mine;
  heard = performance.now();
  mine.onopen = () => {
    heard = performance.now();
    tries = 0;
    state("connected");
  };
  mine.onerror = () => {
    if (mine === source) lost();
  };
  for (const kind of KINDS)
    mine.addEventListener(kind, (event) => {
      if (mine !== source) return;
      heard = performance.now();
      const data = JSON.parse(event.data);
      if (kind === "cameras") latest.cameras = data.cameras;
      if (kind === "scores") setClock(data.points);
      tell(kind, data);
    });
};

// A browser's own reconnecting gives up after an answer such as 502, and never notices a silent
// connection; so every attempt is a new one.
const lost = () => {
  source?.close();
  source = null;
  clearTimeout(retry);
  state("lost");
  retry = setTimeout(connect, RETRY[Math.min(tries++, RETRY.length - 1)]);
};

// Six pages in one browser would take all connections that it opens to a server.
const sleep = () => {
  clearTimeout(unseen);
  if (watch === null) return;
  if (document.hidden) {
    unseen = setTimeout(() => {
      clearTimeout(retry);
      source?.close();
      source = null;
      latest.state = "connecting";
    }, UNSEEN);
  } else if (!source) connect();
};
document.addEventListener("visibilitychange", sleep);

export const start = () => {
  if (watch !== null) return;
  connect();
  watch = setInterval(() => {
    if (source && performance.now() - heard > SILENCE) lost();
  }, 2000);
};

export const stop = () => {
  clearInterval(watch);
  clearTimeout(retry);
  watch = null;
  source?.close();
  source = null;
  latest.cameras = null;
  latest.state = "connecting";
};

// The server's clock may differ from the browser's: curves and counters follow the server's.
// Points arrive a moment after their time, so the largest difference seen lately is the nearest.
let offset = null;
let offsetSet = 0;
const setClock = (points) => {
  if (!points.length) return;
  const now = Date.now() / 1000;
  const found = points[points.length - 1][0] - now;
  if (offset === null || found > offset || now - offsetSet > 60 || now < offsetSet) {
    offset = found;
    offsetSet = now;
  }
};
export const serverNow = () => Date.now() / 1000 + (offset ?? 0);
