// @ts-check
// The player of a report: one frame of a video, with what a system says of it drawn over it.
// `data` is the page's, `lines` are the elements of the timelines, in the order of the clips.
"use strict";

/** @type {(data: any, lines: any[]) => any} */
const createPlayer = (data, lines) => {
  const several = data.systems.length > 1;
  const panel = document.createElement("div");
  panel.id = "player";
  panel.tabIndex = -1;
  const options = data.systems
    .map((s, i) => `<option value="${i}">${escaped(s.name)}</option>`)
    .join("");
  panel.innerHTML = `<canvas></canvas><video muted playsinline preload="auto"></video>
    <p id="trouble" role="alert"></p><p id="told" aria-live="polite"></p>
    <div class="controls"><button data-step="-10">−10</button>
    <button data-step="-1" aria-label="previous frame">◀</button>
    <button id="play">play</button>
    <button data-step="1" aria-label="next frame">▶</button><button data-step="10">+10</button>
    <select aria-label="system whose boxes are shown">${options}</select>
    <label><input type="checkbox" value="boxes" checked>boxes</label>
    <label><input type="checkbox" value="map" checked>map</label>
    <label><input type="checkbox" value="truth" checked>truth</label>
    <button id="close">close</button></div><p id="scale"></p>`;
  const canvas = panel.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const video = panel.querySelector("video");
  const choice = panel.querySelector("select");
  const said = panel.querySelector("#told");
  const trouble = panel.querySelector("#trouble");
  const playButton = panel.querySelector("#play");
  choice.hidden = !several;
  const exact = "requestVideoFrameCallback" in HTMLVideoElement.prototype;

  let number = -1; // of the clip
  let clip = null; // its film and overlays, unpacked, with the film's address
  let at = 0; // place in the film of what is shown
  let target = 0; // and of what is asked for
  let seeking = false;
  let picture = false; // whether the video's current picture is that of `at`

  /** @type {(name: string) => HTMLInputElement} */
  const box = (name) => panel.querySelector(`input[value=${name}]`);
  const shown = (name) => box(name).checked;
  const system = () => clip.systems[choice.value];

  const thick = () => canvas.width / 360; // lines and words are as large for every film
  const offer = (name, there) => {
    box(name).parentElement.hidden = !there;
  };

  const drawMap = (map) => {
    const small = new OffscreenCanvas(map.width, map.height);
    const inside = small.getContext("2d");
    const image = inside.createImageData(map.width, map.height);
    const size = map.width * map.height;
    for (let i = 0; i < size; i++) {
      image.data.set(data.colours.levels[2], 4 * i);
      image.data[4 * i + 3] = data.colours.map * map.levels[at * size + i];
    }
    inside.putImageData(image, 0, 0);
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  };
  const drawTruth = (factor) => {
    pen.strokeStyle = rgb(data.colours.truth);
    pen.lineWidth = 1.2 * thick();
    for (const outline of clip.truth[at] || []) {
      pen.beginPath();
      for (let i = 0; i < outline.length; i += 2)
        pen.lineTo(factor * (outline[i] + 0.5), factor * (outline[i + 1] + 0.5));
      pen.closePath();
      pen.stroke();
    }
  };
  const drawBoxes = (s, factor) => {
    const scale = data.systems[choice.value].scale;
    const unit = thick();
    const order = [];
    for (let i = s.starts[at]; i < s.starts[at + 1]; i++) order.push(i);
    order.sort((a, b) => s.scores[a] - s.scores[b]); // the highest on top
    order.forEach((box, rank) => {
      const top = rank === order.length - 1;
      const corners = s.boxes.subarray(4 * box, 4 * box + 4);
      const [x1, y1, x2, y2] = Array.from(corners, (v) => (factor * v) / data.steps);
      const reached = level(s.scores[box], scale);
      pen.strokeStyle = pen.fillStyle = levelColour(reached, data.colours.levels);
      pen.lineWidth = (top ? 1.6 : 0.8) * unit;
      pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
      if (!top) return;
      pen.font = `${9 * unit}px system-ui, sans-serif`;
      const words = short(s.scores[box]);
      const width = pen.measureText(words).width + 4 * unit;
      const tall = 11 * unit;
      const x = Math.max(0, Math.min(x1, canvas.width - width));
      const y = y1 >= tall ? y1 - tall : Math.min(y2, canvas.height - tall);
      pen.fillRect(x, y, width, tall);
      pen.fillStyle = "#000";
      pen.fillText(words, x + 2 * unit, y + 8.5 * unit);
    });
  };
  const tell = (s) => {
    const { name, smoothing } = data.systems[choice.value];
    const frame = clip.kept[at];
    const seconds = Object.values(clip.systems)[0].time[at];
    const words = [`${data.clips[number].name}: frame ${frame}`, clock(seconds)];
    if (s) {
      words.push(`${several ? `${name} ` : ""}score ${short(s.value[at])} (${smoothing})`);
      if (s.value[at] !== s.raw[at]) words.push(`raw ${short(s.raw[at])}`);
      if (s.share) {
        const share = s.share[at] < 1 ? `${Math.floor(1000 * s.share[at]) / 10} % of` : "all";
        words.push(`raw above ${share} normal training frames`);
      }
    } else words.push(`${name} has no scores of this video`);
    if (data.stride > 1)
      words.push(`one frame in ${data.stride} is kept, and those of the moments`);
    if (s && s.leftOut) words.push("boxes: the highest of each frame only");
    said.textContent = words.join(" · ");
    panel.dataset.frame = frame;
  };
  const head = () => {
    for (const element of lines) {
      const mark = element.querySelector(".playhead");
      if (!mark) continue;
      const mine = clip && Number(element.dataset.clip) === number;
      mark.style.display = mine ? "block" : "none";
      if (!mine) continue;
      const { xaxis, yaxis } = element._fullLayout;
      const x = xaxis.c2p(1000 * Object.values(clip.systems)[0].time[at]);
      mark.style.left = `${xaxis._offset + x}px`;
      mark.style.top = `${yaxis._offset}px`;
      mark.style.height = `${yaxis._length}px`;
      if (x < 0 || x > xaxis._length) mark.style.display = "none";
    }
  };
  const paint = () => {
    head();
    if (!clip) return;
    const factor = canvas.width / clip.width;
    if (picture) pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    else {
      pen.fillStyle = "#222";
      pen.fillRect(0, 0, canvas.width, canvas.height);
    }
    const s = system();
    if (s && s.map && shown("map")) drawMap(s.map);
    if (shown("truth")) drawTruth(factor);
    if (s && shown("boxes")) drawBoxes(s, factor);
    const { scale, words } = data.systems[choice.value];
    panel.querySelector("#scale").innerHTML = scale
      .map((_, i) => levelColour(i / 2, data.colours.levels))
      .map((ink, i) => `<span><i style="background:${ink}"></i>${words[i]}</span>`)
      .join("");
    tell(s);
  };

  // The browser says which picture it shows; what is drawn and told is always of that one.
  const arrived = (seconds) => {
    at = Math.min(clip.kept.length - 1, Math.max(0, Math.round(seconds * clip.rate)));
    picture = true;
    if (video.paused && at === target) panel.dataset.ready = clip.kept[at];
    paint();
  };
  const follow = () =>
    video.requestVideoFrameCallback((_, shownNow) => {
      follow(); // first: a picture that comes while nobody listens is never told
      if (clip) arrived(shownNow.mediaTime);
    });
  if (exact) follow();
  // Without that callback, half a frame into the picture that was asked for.
  const middle = (j) => (j + 0.5) / clip.rate;
  const seek = (j) => {
    target = Math.min(clip.kept.length - 1, Math.max(0, j));
    delete panel.dataset.ready;
    if (video.error) {
      at = target;
      paint();
    } else if (!seeking && video.readyState > 0) {
      seeking = true;
      video.currentTime = middle(target);
    }
  };
  video.addEventListener("loadedmetadata", () => clip && seek(target));
  video.addEventListener("seeked", () => {
    seeking = false;
    if (!clip || !video.paused) return;
    if (Math.abs(video.currentTime - middle(target)) > 0.4 / clip.rate) return seek(target);
    // No callback comes where the picture is on show already, or came too early to be told.
    const asked = target;
    const unseen = () =>
      clip && video.paused && !seeking && asked === target && !panel.dataset.ready;
    setTimeout(() => unseen() && arrived(asked / clip.rate), exact ? 80 : 0);
  });
  if (!exact)
    video.addEventListener("timeupdate", () => {
      if (clip) arrived(video.currentTime - 0.5 / clip.rate);
    });
  video.addEventListener("error", () => {
    if (!clip) return;
    picture = seeking = false;
    at = target;
    trouble.textContent =
      "This browser cannot decode the film (H.264): what is drawn is right, its picture is absent.";
    paint();
  });
  const playing = () => (playButton.textContent = video.paused ? "play" : "pause");
  for (const name of ["play", "pause", "ended"])
    video.addEventListener(name, () => {
      if (video.paused) target = at;
      playing();
    });
  const toggle = () => {
    if (!clip || video.error) return;
    if (!video.paused) video.pause();
    else {
      if (at === clip.kept.length - 1) video.currentTime = 0;
      video.play().catch((error) => {
        trouble.textContent = `The film does not play: ${error.message}`;
      });
    }
  };
  const step = (by) => {
    if (!clip) return;
    video.pause();
    seek((seeking ? target : at) + by);
  };

  const close = () => {
    video.pause();
    if (clip) URL.revokeObjectURL(clip.url);
    clip = null;
    number = -1;
    video.removeAttribute("src");
    panel.remove();
    head();
  };
  const open = (index, { time = null, frame = null, of = null }) => {
    const element = lines[index];
    if (index !== number) {
      close();
      number = index;
      picture = seeking = false;
      at = 0;
      trouble.textContent = "";
      said.textContent = "";
      element.after(panel);
      clip = data.films[index] ? unpackFilm(data.films[index]) : null;
      if (clip) {
        const film = new Blob([unpack(clip.film, Uint8Array)], { type: "video/mp4" });
        clip.url = URL.createObjectURL(film);
        const factor = Math.max(1, Math.round((2 * 720) / clip.width) / 2);
        canvas.width = clip.width * factor;
        canvas.height = clip.height * factor;
        if (!(choice.value in clip.systems)) choice.value = Object.keys(clip.systems)[0];
        offer("map", Object.values(clip.systems).some((s) => s.map));
        offer("truth", Object.keys(clip.truth).length > 0);
        video.src = clip.url;
      } else trouble.textContent = "The video could not be read again: it has no pictures.";
      canvas.hidden = !clip;
    }
    if (of !== null) choice.value = of;
    panel.focus({ preventScroll: true });
    if (clip) {
      const times = Object.values(clip.systems)[0].time;
      video.pause();
      seek(frame !== null ? nearest(clip.kept, frame) : nearest(times, time || 0));
      paint();
    }
    panel.scrollIntoView({ block: "nearest", behavior: frame === null ? "auto" : "smooth" });
  };

  for (const button of panel.querySelectorAll("button"))
    if (button.dataset.step)
      button.addEventListener("click", () => step(Number(button.dataset.step)));
  playButton.addEventListener("click", toggle);
  panel.querySelector("#close").addEventListener("click", close);
  panel.addEventListener("change", paint);
  panel.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target === choice) return;
    const far = e.shiftKey ? 10 : 1;
    if (e.key === "ArrowRight") step(far);
    else if (e.key === "ArrowLeft") step(-far);
    else if (e.key === " " && e.target === panel) toggle();
    else if (e.key === "Escape") close();
    else return;
    e.preventDefault();
  });
  return { open, paint };
};
