// At most `capacity` points.  When full, a sliding series forgets the older half; a whole one
// keeps the lowest and the highest of every four.
export class Series {
  constructor(capacity, sliding) {
    this.times = new Float64Array(capacity);
    this.values = new Float32Array(capacity);
    this.sliding = sliding;
    this.length = 0;
  }

  push(time, value) {
    if (!Number.isFinite(value)) return;
    if (this.length && time <= this.times[this.length - 1]) return;
    if (this.length === this.times.length) this.sliding ? this.#forget() : this.#thin();
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
