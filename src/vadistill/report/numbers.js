// Numbers and words that the charts and the player of a report share.
"use strict";

const unpack = (text, Kind) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Kind(bytes.buffer);
};
// The last place of a sorted array whose value is not above the one given; at least 0.
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
const nearest = (sorted, value) => {
  const i = place(sorted, value);
  return i + 1 < sorted.length && sorted[i + 1] - value < value - sorted[i] ? i + 1 : i;
};
const clock = (seconds) => {
  const tenths = Math.round(10 * seconds);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(tenths / 36000);
  const minutes = two(Math.floor(tenths / 600) % 60);
  const rest = `${minutes}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return hours ? `${hours}:${rest}` : rest;
};
const short = (n) => String(Number(n.toPrecision(3)));
const escaped = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
