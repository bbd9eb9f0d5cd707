// @ts-check
// What the charts and the player of a report share: packed numbers, words and colours.
"use strict";

/** @type {(text: string, Kind: any) => any} */
const unpack = (text, Kind) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Kind(bytes.buffer);
};
// A film with its overlays; box i of a system's frame j stands at starts[j] + i.
const unpackFilm = (film) => {
  const systems = {};
  for (const [system, s] of Object.entries(film.systems)) {
    const counts = unpack(s.counts, Uint8Array);
    const starts = new Uint32Array(counts.length + 1);
    counts.forEach((n, i) => (starts[i + 1] = starts[i] + n));
    systems[system] = {
      starts,
      time: unpack(s.time, Float32Array),
      value: unpack(s.value, Float32Array),
      raw: unpack(s.raw, Float32Array),
      share: s.share && unpack(s.share, Float32Array),
      boxes: unpack(s.boxes, Int16Array),
      scores: unpack(s.scores, Float32Array),
      leftOut: s.left_out,
      map: s.map && { ...s.map, levels: unpack(s.map.levels, Uint8Array) },
    };
  }
  return { ...film, kept: unpack(film.kept, Int32Array), systems };
};

// The last place of a sorted array whose value is not above the one given; at least 0.
/** @type {(sorted: ArrayLike<number>, value: number) => number} */
const place = (sorted, value) => {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
};
/** @type {(sorted: ArrayLike<number>, value: number) => number} */
const nearest = (sorted, value) => {
  const i = place(sorted, value);
  return i + 1 < sorted.length && sorted[i + 1] - value < value - sorted[i] ? i + 1 : i;
};

/** @param {number} seconds */
const clock = (seconds) => {
  const tenths = Math.round(10 * seconds);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(tenths / 36000);
  const minutes = two(Math.floor(tenths / 600) % 60);
  const rest = `${minutes}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return hours ? `${hours}:${rest}` : rest;
};
/** @param {number} n */
const short = (n) => String(Number(n.toPrecision(3)));
/** @param {string} text */
const escaped = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);

const rgb = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
// Where a score stands among the lowest, the middle and the highest of a scale, 0 to 1.
/** @type {(score: number, scale: number[]) => number} */
const level = (score, [low, middle, high]) => {
  if (score <= low) return 0;
  if (score >= high) return 1;
  if (score < middle) return (0.5 * (score - low)) / (middle - low);
  return 0.5 + (0.5 * (score - middle)) / (high - middle);
};
const levelColour = (at, [low, middle, high]) => {
  const [a, b, part] = at < 0.5 ? [low, middle, 2 * at] : [middle, high, 2 * at - 1];
  return rgb(a.map((v, i) => Math.round(v + part * (b[i] - v))));
};
