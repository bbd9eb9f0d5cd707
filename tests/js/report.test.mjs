// What a report's scripts share: they are parts of one script, no modules.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = new URL("../../src/vadistill/report/numbers.js", import.meta.url);
const names = "unpack, unpackFilm, place, nearest, clock, short, escaped, level, levelColour";
const shared = new Function(`${readFileSync(source, "utf8")}; return { ${names} };`)();
const packed = (array) => Buffer.from(array.buffer).toString("base64");

test("arrays survive their packing", () => {
  const values = new Float32Array([0, -1.5, 3e8]);
  assert.deepEqual(shared.unpack(packed(values), Float32Array), values);
});

test("a film's boxes are found by the frame they are of", () => {
  const system = {
    counts: packed(new Uint8Array([2, 0, 1])),
    boxes: packed(new Int16Array(12)), scores: packed(new Float32Array([1, 2, 3])),
    time: packed(new Float32Array(3)), value: packed(new Float32Array(3)),
    raw: packed(new Float32Array(3)), share: null, left_out: true, map: null,
  };
  const film = shared.unpackFilm({
    width: 64, kept: packed(new Int32Array([0, 5, 10])), systems: { 0: system },
  });
  assert.deepEqual(Array.from(film.systems[0].starts), [0, 2, 2, 3]);
  assert.deepEqual([film.width, film.systems[0].leftOut, film.systems[0].map], [64, true, null]);
  assert.deepEqual(Array.from(film.kept), [0, 5, 10]);
});

test("a time finds the frame on show, and the nearest", () => {
  const kept = [0, 10, 20];
  assert.deepEqual([-5, 0, 9, 10, 25].map((v) => shared.place(kept, v)), [0, 0, 0, 1, 2]);
  assert.deepEqual([-5, 4, 5, 6, 19, 99].map((v) => shared.nearest(kept, v)), [0, 0, 0, 1, 2, 2]);
});

test("clocks round to tenths and never show sixty seconds", () => {
  assert.deepEqual([0, 59.96, 61.25, 3600].map(shared.clock),
    ["00:00.0", "01:00.0", "01:01.3", "1:00:00.0"]);
});

test("colours run from the scale's lowest over its middle to its highest", () => {
  const scale = [1, 2, 10];
  assert.deepEqual([0, 1, 1.5, 2, 6, 10, 99].map((s) => shared.level(s, scale)),
    [0, 0, 0.25, 0.5, 0.75, 1, 1]);
  const inks = [[0, 0, 0], [100, 100, 100], [200, 0, 0]];
  assert.deepEqual([0, 0.25, 0.5, 1].map((at) => shared.levelColour(at, inks)),
    ["rgb(0 0 0)", "rgb(50 50 50)", "rgb(100 100 100)", "rgb(200 0 0)"]);
});

test("names become no markup", () => {
  assert.equal(shared.escaped("<b>&"), "&#60;b&#62;&#38;");
  assert.equal(shared.short(0.123456), "0.123");
});
