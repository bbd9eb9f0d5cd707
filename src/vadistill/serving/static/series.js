// @ts-check
// What a curve shows: scores over time in bounded memory, and the steps of its axis.

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];

// Seconds between the lines of an axis, of which there are at most `most` in `length` seconds.
/** @type {(length: number, most: number) => number} */
export const axisStep = (length, most) => STEPS.find((step) => length / step <= most) ?? 86400;

// At most `capacity` points.  When full, a sliding series forgets the older half; a whole one
// keeps the lowest and the highest of every four.
export class Series {
  /** @param {number} capacity @param {boolean} sliding */
  constructor(capacity, sliding) {
    this.times = new Float64Array(capacity);
    this.values = new Float32Array(capacity);
    this.sliding = sliding;
    this.length = 0;
  }

  /** @param {number} time @param {number | null} value */
  push(time, value) {
    if (!Number.isFinite(value)) return;
    if (this.length && time <= this.times[this.length - 1]) return;
    if (this.length === this.times.length) {
      if (this.sliding) this.#forget();
      else this.#thin();
    }
    this.times[this.length] = time;
    this.values[this.length++] = value;
  }

  #forget() {
    const half = this.length >> 1;
    this.times.copyWithin(0, half);
    this.values.copyWithin(0, half);
    this.length -= half;
  }

  #thin() {
    let kept = 0;
    for (let i = 0; i + 3 < this.length; i += 4) {
      let low = i;
      let high = i;
      for (let j = i + 1; j < i + 4; j++) {
        if (this.values[j] < this.values[low]) low = j;
        if (this.values[j] > this.values[high]) high = j;
      }
      for (const j of low < high ? [low, high] : [high, low]) {
        this.times[kept] = this.times[j];
        this.values[kept++] = this.values[j];
      }
    }
    this.length = kept;
  }

  // The first place whose time is not below the one given.
  /** @param {number} time */
  place(time) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
