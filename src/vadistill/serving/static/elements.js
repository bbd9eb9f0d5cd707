// @ts-check
// Elements made without HTML strings: a camera's name or an error can never become markup.

// el("p.soft", { title: "…" }, "text", otherNode); attributes may be left out.  Functions and the
// value are set as properties, everything else as attributes; null and false leave one out.
/** @type {<K extends string>(kind: K, ...parts: any[]) => ElementOf<K>} */
export const el = (kind, ...parts) => {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  const attributes = parts[0]?.constructor === Object ? parts.shift() : {};
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (typeof value === "function" || name === "value") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...parts.flat().filter((c) => c !== null && c !== false && c !== undefined));
  return /** @type {any} */ (node);
};

const SVG = "http://www.w3.org/2000/svg";
export const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

// Only writes what differs: texts that come once a second must not disturb selection or readers.
export const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};
export const setHidden = (node, hidden) => {
  if (node.hidden !== hidden) node.hidden = hidden;
};
export const setClass = (node, name, on) => {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
};

// The controller of a part of a page: it ends with the page, or before.
/** @param {AbortSignal} signal */
export const within = (signal) => {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort(), { signal: own.signal });
  return own;
};

// Does something every so many milliseconds while the page is seen.
/** @type {(period: number, action: () => void, signal: AbortSignal) => void} */
export const every = (period, action, signal) => {
  const timer = setInterval(() => document.hidden || action(), period);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
};

// The rows of a list by their keys, in the order of `items`: made, shown anew, or removed.
/** @type {<T, R extends Row<T>>(place: Element, rows: Map<any, R>, items: T[],
 *    key: (item: T) => any, make: (item: T) => R) => void} */
export const showRows = (place, rows, items, key, make) => {
  const keys = new Set(items.map(key));
  for (const [known, row] of rows) {
    if (keys.has(known)) continue;
    row.stop?.abort();
    row.node.remove();
    rows.delete(known);
  }
  items.forEach((item, i) => {
    let row = rows.get(key(item));
    if (row) row.show(item);
    else rows.set(key(item), (row = make(item)));
    if (place.children[i] !== row.node) place.insertBefore(row.node, place.children[i] ?? null);
  });
};

export const heading = (words) => el("h1", { tabindex: -1 }, words);
// The way to the page that another belongs to.
export const back = (href, words) => el("p.soft", el("a", { href }, words));

/** @type {(label: string, onclick: (event: Event) => void, more?: object) => HTMLButtonElement} */
export const button = (label, onclick, attributes = {}) =>
  el("button", { type: "button", onclick, ...attributes }, label);

// A labelled field; `hint` is read with it.
let fields = 0;
export const field = (label, input, hint = "") => {
  const id = (input.id ||= `field-${++fields}`);
  const about = hint ? el("small", { id: `${id}-hint` }, hint) : null;
  if (about) input.setAttribute("aria-describedby", about.id);
  if (input.type === "checkbox")
    return el("div.field.check", el("label", { for: id }, input, label), about);
  return el("div.field", el("label", { for: id }, label), input, about);
};

/** @type {(entries: string[][], chosen?: string | null, more?: object) => HTMLSelectElement} */
export const select = (entries, chosen = null, more = {}) =>
  el("select", more, entries.map(([value, words]) =>
    el("option", { value, selected: value === chosen }, words)));
export const number = (value, more) =>
  el("input", {
    type: "number", step: "any", inputmode: "decimal", value: value === null ? "" : String(value),
    ...more,
  });
// Written as it is: no capitals, nothing corrected.
export const literal = (more) =>
  el("input", { autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...more });
export const nameInput = () =>
  literal({
    required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,39}", maxlength: 40, placeholder: "entrance",
  });
export const NAME_HINT = "Small letters, digits and '-', up to 40.";

// A form whose button calls `send(button, place)`; what went wrong is shown in `place`.
export const form = (kind, label, content, send, place = el("div")) => {
  const submit = el("button.primary", { type: "submit" }, label);
  const onsubmit = (event) => {
    event.preventDefault();
    send(submit, place);
  };
  return el(kind, { onsubmit }, content, place, el("div.row.end", submit));
};

// Cells are words or elements; columns with a place in `numeric` stand to the right.
/** @type {(header: string[], rows: any[][], numeric?: number[]) => HTMLElement} */
export const table = (header, rows, numeric = []) => {
  const cell = (tag, more) => (content, i) =>
    el(numeric.includes(i) ? `${tag}.n` : tag, more, content);
  const head = el("tr", header.map(cell("th", { scope: "col" })));
  const body = rows.map((row) => el("tr", row.map(cell("td", {}))));
  return el("div.scroll", el("table", el("thead", head), el("tbody", body)));
};
// Names and what they stand for.
export const facts = (rows) =>
  el("dl", rows.map(([name, words]) => [el("dt", name), el("dd", words)]).flat());

// What went wrong and what to do about it.
export const problem = (error) =>
  el("div.problem", { role: "alert" },
    el("p", sentence(error.message || String(error))),
    error.remedy ? el("p.remedy", sentence(error.remedy)) : null);
const sentence = (words) => {
  const first = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
};
// An AbortError only says that the page has changed.
export const showProblem = (place, error) => {
  if (error.name !== "AbortError") place.replaceChildren(problem(error));
};

export const empty = (title, words, ...actions) =>
  el("div.empty", el("p", el("b", title)), el("p", words), el("p", ...actions));

// What stands where something needs a model and there is none.
/** @type {(words: string) => HTMLElement} */
export const noModels = (words) =>
  empty(words,
    "Fit one from normal footage first, or name a fitted one: vadistill serve --model PATH.",
    el("a.button.primary", { href: "#/models" }, "Fit a model"));

// While something is under way its button cannot be pressed again.  Gives null after an error,
// which is shown in `place`.
/** @type {<T>(pressed: HTMLButtonElement, place: Element, action: () => Promise<T>)
 *    => Promise<T | null>} */
export const attempt = async (pressed, place, action) => {
  place.replaceChildren();
  pressed.disabled = true;
  pressed.setAttribute("aria-busy", "true");
  try {
    return await action();
  } catch (error) {
    showProblem(place, error);
    return null;
  } finally {
    pressed.disabled = false;
    pressed.removeAttribute("aria-busy");
  }
};

// A modal window that is gone from the page once it is closed, and with the page it belongs to.
export const dialog = (title, signal, ...content) => {
  const id = `dialog-${++fields}`;
  const close = button("×", () => box.close(), { "aria-label": "close", class: "close" });
  const box = el("dialog", { "aria-labelledby": id },
    el("div.head", el("h2", { id }, title), close), ...content);
  const shut = () => box.close();
  box.addEventListener("close", () => {
    signal.removeEventListener("abort", shut);
    box.remove();
  });
  // A press outside of the window closes it.
  box.addEventListener("mousedown", (event) => {
    if (event.target !== box) return;
    const { left, right, top, bottom } = box.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    if (x < left || x > right || y < top || y > bottom) box.close();
  });
  signal.addEventListener("abort", shut);
  document.body.append(box);
  box.showModal();
  return box;
};

// Whether something that cannot be undone is really wanted.
export const confirmed = (title, words, action, signal) =>
  new Promise((resolve) => {
    let answer = false;
    const yes = button(action, () => {
      answer = true;
      box.close();
    }, { class: "danger" });
    const no = button("Keep", () => box.close(), { autofocus: true });
    const box = dialog(title, signal, el("p", words), el("div.row.end", no, yes));
    box.addEventListener("close", () => resolve(answer));
  });

export const announce = (words) => {
  document.getElementById("said").textContent = words;
};

// A short message in the corner; at most three at a time, and one about the same `topic`.
export const toast = (words, { topic = words, more = [] } = {}) => {
  const place = document.getElementById("toasts");
  for (const old of place.querySelectorAll("div"))
    if (old.dataset.topic === topic) old.remove();
  while (place.children.length >= 3) place.firstChild.remove();
  const note = el("div.toast", { "data-topic": topic }, el("span", words), ...more);
  const gone = () => note.remove();
  note.append(button("×", gone, { "aria-label": "dismiss", class: "close" }));
  place.append(note);
  announce(words);
  setTimeout(gone, more.length ? 10000 : 5000); // it may lie over buttons
};
