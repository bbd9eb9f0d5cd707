// @ts-check
// Numbers, spans and moments in words; moments are in the browser's own time zone.

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** @param {number | null | undefined} n */
export const short = (n) => {
  if (!Number.isFinite(n)) return "–";
  return Math.abs(n) >= 1000 ? String(Math.round(n)) : String(Number(n.toPrecision(3)));
};
// As many digits for 9.8 as for 9.83: numbers that change once a second must not jump about.
export const fixed = (n, digits) => (Number.isFinite(n) ? n.toFixed(digits) : "–");
export const score = (n) => {
  if (!Number.isFinite(n)) return "–";
  const size = Math.abs(n);
  return n.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
};
export const percent = (share) => {
  if (!Number.isFinite(share)) return "–";
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
};
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
export const bytes = (n) => {
  if (n < 1e6) return `${Math.max(1, Math.round(n / 1e3))} kB`;
  return n < 1e9 ? `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB` : `${(n / 1e9).toFixed(1)} GB`;
};

const two = (n) => String(Math.floor(n)).padStart(2, "0");
export const span = (seconds) => {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  // Rounded before it is parted: 59.6 s are 1 min 00 s, not 0 min 60 s.
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  return `${Math.round(s / 86400)} days`;
};
export const hours = (n) => {
  if (n >= 48) return `${short(n / 24)} days`;
  return n >= 1 ? `${short(n)} h` : `${Math.round(60 * n)} min`;
};
// A place in a video.
export const clock = (seconds) => {
  const tenths = Math.round(10 * Math.max(0, seconds));
  const s = Math.floor(tenths / 10);
  const rest = `${two((s / 60) % 60)}:${two(s % 60)}.${tenths % 10}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${rest}` : rest;
};

const time = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric",
});
const dayOf = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

export const timeOfDay = (unix) => time.format(new Date(1000 * unix));
export const dayName = (unix) => {
  const date = new Date(1000 * unix);
  const now = new Date();
  const days = Math.round((dayOf(now) - dayOf(date)) / 86400000);
  if (days === 0) return "today";
  if (days === 1) return "yesterday";
  return (date.getFullYear() === now.getFullYear() ? day : dayAndYear).format(date);
};
export const moment = (unix) => `${dayName(unix)} ${timeOfDay(unix)}`;
