// @ts-check
// Live pictures.  A browser opens six connections to a server at most, so a wall of endless streams
// would starve the page: tiles fetch single pictures, three at a time, while they are seen.

const AT_ONCE = 3;
const EACH = 5; // pictures a second of one tile at most
const ALL = 30; // and of all tiles together
const PATIENCE = 8000; // ms

const tiles = new Set();
let under_way = 0;
let timer = null;

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.target.tile) entry.target.tile.seen = entry.isIntersecting;
  pump();
});
document.addEventListener("visibilitychange", () => pump());

// Keeps a canvas fresh from the address that `address()` gives; null: nothing new to be seen there.
export const follow = (canvas, address, signal, each = EACH) => {
  const tile = { canvas, address, each, due: 0, busy: false, seen: false, stop: null };
  canvas.tile = tile;
  tiles.add(tile);
  watcher.observe(canvas);
  const end = () => {
    tiles.delete(tile);
    watcher.unobserve(canvas);
    canvas.tile = null;
    tile.stop?.abort();
  };
  signal.addEventListener("abort", end, { once: true });
  pump();
};

const pump = () => {
  clearTimeout(timer);
  if (document.hidden) return;
  const now = performance.now();
  const waiting = [...tiles].filter((t) => t.seen && !t.busy).sort((a, b) => a.due - b.due);
  for (const tile of waiting) {
    if (under_way >= AT_ONCE || tile.due > now) break;
    fetchInto(tile);
  }
  const next = waiting.find((t) => !t.busy);
  if (next && under_way < AT_ONCE) timer = setTimeout(pump, Math.max(15, next.due - now));
};

const period = (tile) => {
  let seen = 0;
  for (const t of tiles) seen += t.seen;
  return 1000 * Math.max(1 / tile.each, seen / ALL);
};

const fetchInto = async (tile) => {
  const started = performance.now();
  const address = tile.address();
  if (address === null) {
    tile.due = started + 1000;
    return;
  }
  tile.busy = true;
  under_way += 1;
  tile.stop = new AbortController();
  const late = setTimeout(() => tile.stop?.abort(), PATIENCE);
  let wait = 2000;
  try {
    const answer = await fetch(address, { signal: tile.stop.signal, cache: "no-store" });
    if (answer.ok) {
      const bitmap = await createImageBitmap(await answer.blob());
      if (tiles.has(tile)) paint(tile.canvas, bitmap);
      bitmap.close();
      wait = period(tile);
    }
  } catch {
    // No picture yet, or the server is away: tried again, and the page's banner tells the latter.
  } finally {
    clearTimeout(late);
    tile.stop = null;
    tile.busy = false;
    under_way -= 1;
    tile.due = Math.max(performance.now() + 15, started + wait);
    pump();
  }
};

const paint = (canvas, bitmap) => {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  canvas.classList.add("has");
};

// One endless stream in an <img>: for a page that shows a single camera.
export const stream = (image, address, signal) => {
  let retry = null;
  const shut = () => {
    clearTimeout(retry);
    image.removeAttribute("src"); // ends the request
  };
  const open = () => {
    shut();
    if (!document.hidden && !signal.aborted) image.src = address();
  };
  image.onload = () => image.classList.add("has");
  image.onerror = () => {
    image.classList.remove("has");
    clearTimeout(retry);
    if (!signal.aborted) retry = setTimeout(open, 2000);
  };
  document.addEventListener("visibilitychange", open, { signal });
  signal.addEventListener("abort", shut, { once: true });
  open();
  return open;
};
