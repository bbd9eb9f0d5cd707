// @ts-check
// Draws the charts of a report; a click on one opens the player there.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const several = data.systems.length > 1;
  const hidden = new Set();
  /** @type {(selector: string) => HTMLElement[]} */
  const all = (selector) => Array.from(document.querySelectorAll(selector));

  // -- colours ------------------------------------------------------------------------------------

  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const lineColour = (system) => colour(`c${system % 6}`);

  // -- charts -------------------------------------------------------------------------------------

  const mouse = matchMedia("(hover: hover) and (pointer: fine)").matches;
  const config = {
    displayModeBar: false,
    responsive: true,
    doubleClick: "reset",
    scrollZoom: false,
  };
  const drawn = new Map(); // element -> function that gives its traces and layout
  const look = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("soft") },
    showlegend: false,
    dragmode: false,
    hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
    ...more,
  });
  const axis = (more) => ({
    gridcolor: colour("grid"),
    linecolor: colour("faint"),
    zeroline: false,
    fixedrange: true,
    ...more,
  });

  const curve = (kind) => () => {
    const words = {
      roc: ["false positive rate", "true positive rate"],
      pr: ["recall", "precision"],
    }[kind];
    const traces = data.curves[kind].map((c, i) => {
      const system = data.curve_systems[i];
      const name = escaped(data.systems[system].name);
      return {
        x: Array.from(unpack(c.x, Float32Array)),
        y: Array.from(unpack(c.y, Float32Array)),
        text: Array.from(unpack(c.above, Float32Array), short),
        hovertemplate: `${name}: %{x:.3f}, %{y:.3f}<br>score from %{text}<extra></extra>`,
        line: { color: lineColour(system), width: 2 },
        mode: "lines",
        visible: !hidden.has(system),
      };
    });
    const range = [-0.01, 1.01];
    const layout = look({
      margin: { l: 52, r: 12, t: 12, b: 52 },
      xaxis: axis({ title: { text: words[0], standoff: 8 }, range }),
      yaxis: axis({ title: { text: words[1] }, range }),
      hovermode: "closest",
      shapes:
        kind === "roc"
          ? [{ type: "line", x0: 0, y0: 0, x1: 1, y1: 1, layer: "below",
              line: { color: colour("faint"), dash: "dash", width: 1 } }]
          : [],
    });
    return [traces, layout];
  };

  // Dates give a time axis whose labels follow the zoom.  They are text, since Plotly takes numbers
  // of four digits for years; its calculated x is milliseconds from the start.
  const date = (seconds) => new Date(Math.round(1000 * seconds)).toISOString().slice(0, -1);
  const timeline = (number) => () => {
    const clip = data.clips[number];
    const traces = clip.series.map((s) => {
      const [low, high] = data.spans[s.system];
      const values = Array.from(unpack(s.value, Float32Array));
      const frames = unpack(s.frame, Int32Array);
      const times = unpack(s.time, Float32Array);
      const before = several ? `${escaped(data.systems[s.system].name)} ` : "";
      return {
        x: Array.from(times, date),
        y: several ? values.map((v) => (v - low) / (high - low || 1)) : values,
        text: values.map((v, i) => `${before}${short(v)}, frame ${frames[i]}`),
        hovertemplate: "%{text}<extra></extra>",
        line: { color: lineColour(s.system), width: 1.5 },
        mode: clip.frames > 1 ? "lines" : "markers",
        visible: !hidden.has(s.system),
      };
    });
    const levels = clip.series
      .filter((s) => s.level !== null && !hidden.has(s.system))
      .map((s) => {
        const [least, most] = data.spans[s.system];
        const y = several ? (s.level - least) / (most - least || 1) : s.level;
        return { y, system: s.system };
      });
    const [low, most] = several ? [0, 1] : data.spans[0];
    const high = several ? most : Math.max(most, ...levels.map((each) => each.y));
    const edge = 0.04 * (high - low || 1);
    const length = Math.max(0.001, clip.length);
    const labels = length >= 3600 ? "%H:%M:%S" : "%M:%S";
    const layout = look({
      margin: { l: several ? 8 : 44, r: 12, t: 6, b: 22 },
      xaxis: axis({
        type: "date",
        range: [date(0), date(length)],
        fixedrange: !mouse,
        showgrid: false,
        nticks: 6,
        tickformatstops: [
          { dtickrange: [null, 1000], value: "%M:%S.%1f" },
          { dtickrange: [1000, null], value: labels },
        ],
      }),
      yaxis: axis({ range: [low - edge, high + edge], showticklabels: !several, nticks: 4 }),
      dragmode: mouse ? "zoom" : false,
      hovermode: "x",
      shapes: [
        ...clip.bands.map(([x0, x1]) => ({
          type: "rect", xref: "x", yref: "paper", x0: date(x0), x1: date(x1), y0: 0, y1: 1,
          layer: "below", fillcolor: colour("band"), line: { width: 0 }, name: "band",
        })),
        ...levels.map(({ y, system }) => ({
          type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: y, y1: y,
          layer: "below", line: { color: lineColour(system), dash: "dash", width: 1 }, name: "level",
        })),
        ...clip.marks.map((x) => ({
          type: "line", xref: "x", yref: "paper", x0: date(x), x1: date(x), y0: 0, y1: 1,
          layer: "below", line: { color: colour("mark"), dash: "dot", width: 1 }, name: "mark",
        })),
      ],
    });
    return [traces, layout];
  };

  const draw = (element) => {
    const [traces, layout] = drawn.get(element)();
    return Plotly.react(element, traces, layout, config);
  };
  const redraw = () => {
    for (const element of drawn.keys()) draw(element);
    player.paint();
  };

  for (const element of all("[data-curve]")) {
    drawn.set(element, curve(element.dataset.curve));
    draw(element);
  }

  // While a mouse button is down Plotly covers the page, so that no true click comes of it: a mouse
  // counts when it is released.  A finger counts when its tap has become a click, since it may
  // scroll until then.
  let pressed = null;
  const listen = (element, number) => {
    const press = (e) => (pressed = { element, number, x: e.clientX, y: e.clientY });
    element.addEventListener("pointerdown", press, true);
    element.on("plotly_relayout", () => player.paint());
  };
  const released = (e) => {
    if (!e.isTrusted || (e.type === "pointerup" && e.pointerType !== "mouse")) return;
    const one = pressed;
    pressed = null;
    if (!one || Math.hypot(e.clientX - one.x, e.clientY - one.y) > 6) return; // not ours, or a zoom
    const { xaxis } = one.element._fullLayout;
    const at = e.clientX - one.element.getBoundingClientRect().left - xaxis._offset;
    player.open(one.number, { time: xaxis.p2c(Math.min(xaxis._length, Math.max(0, at))) / 1000 });
  };
  document.addEventListener("pointercancel", () => (pressed = null), true);
  for (const kind of ["pointerup", "click"]) document.addEventListener(kind, released, true);
  const show = (element) => {
    if (drawn.has(element)) return;
    const number = Number(element.dataset.clip);
    drawn.set(element, timeline(number));
    const head = document.createElement("div");
    head.className = "playhead";
    draw(element).then(() => {
      element.append(head);
      listen(element, number);
      player.paint();
    });
  };
  const watch = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => show(e.target)),
    { rootMargin: "600px" },
  );
  const lines = all("[data-clip]");
  lines.forEach((element) => watch.observe(element));

  for (const button of all("[data-system][aria-pressed]"))
    button.addEventListener("click", () => {
      const system = Number(button.dataset.system);
      if (!hidden.delete(system)) hidden.add(system);
      for (const same of all(`[aria-pressed][data-system="${system}"]`))
        same.setAttribute("aria-pressed", String(!hidden.has(system)));
      redraw();
    });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.style.colorScheme || (dark.matches ? "dark" : "light");
    root.style.colorScheme = now === "dark" ? "light" : "dark";
    redraw();
  });

  const player = createPlayer(data, lines);

  for (const button of all("[data-open]"))
    button.addEventListener("click", () => {
      const { open, frame, system } = button.dataset;
      player.open(Number(open), {
        frame: frame === undefined ? 0 : Number(frame),
        of: system === undefined ? null : system,
      });
    });
})();
