// Elements made without HTML strings: a camera's name or an error can never become markup.

// el("p.soft", { title: "…" }, "text", otherNode).  Functions and known properties are set as
// properties, everything else as attributes; null and false leave an attribute out.
export const el = (kind, attributes = {}, ...children) => {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (typeof value === "function" || name === "value") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== false && c !== undefined));
  return node;
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

export const button = (label, onclick, attributes = {}) =>
  el("button", { type: "button", onclick, ...attributes }, label);

// A labelled field; `hint` is read with it.
let fields = 0;
export const field = (label, input, hint = "") => {
  const id = (input.id ||= `field-${++fields}`);
  const about = hint ? el("small", { id: `${id}-hint` }, hint) : null;
  if (about) input.setAttribute("aria-describedby", about.id);
  if (input.type === "checkbox")
    return el("div.field.check", {}, el("label", { for: id }, input, label), about);
  return el("div.field", {}, el("label", { for: id }, label), input, about);
};

export const options = (select, entries, chosen = null) => {
  select.replaceChildren(
    ...entries.map(([value, words]) => el("option", { value, selected: value === chosen }, words)),
  );
  return select;
};

// Cells are words or elements; columns with a place in `numeric` stand to the right.
export const table = (header, rows, numeric = []) => {
  const cell = (tag, more) => (content, i) =>
    el(numeric.includes(i) ? `${tag}.n` : tag, more, content);
  const head = el("tr", {}, header.map(cell("th", { scope: "col" })));
  const body = rows.map((row) => el("tr", {}, row.map(cell("td", {}))));
  return el("div.scroll", {}, el("table", {}, el("thead", {}, head), el("tbody", {}, body)));
};

// What went wrong and what to do about it.
export const problem = (error) =>
  el(
    "div.problem",
    { role: "alert" },
    el("p", {}, sentence(error.message || String(error))),
    error.remedy ? el("p.remedy", {}, sentence(error.remedy)) : null,
  );
const sentence = (words) => {
  const first = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
};

export const empty = (title, words, ...actions) =>
  el("div.empty", {}, el("p", {}, el("b", {}, title)), el("p", {}, words), el("p", {}, ...actions));

// While something is under way its button cannot be pressed again.  Gives null after an error,
// which is shown in `place`.
export const attempt = async (pressed, place, action) => {
  place.replaceChildren();
  pressed.disabled = true;
  pressed.setAttribute("aria-busy", "true");
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") place.replaceChildren(problem(error));
    return null;
  } finally {
    pressed.disabled = false;
    pressed.removeAttribute("aria-busy");
  }
};

// A modal window that is gone from the page once it is closed, and with the page it belongs to.
export const dialog = (title, signal, ...content) => {
  const heading = el("h2", { id: `dialog-${++fields}` }, title);
  const close = button("×", () => box.close(), { "aria-label": "close", class: "close" });
  const box = el(
    "dialog",
    { "aria-labelledby": heading.id },
    el("div.head", {}, heading, close),
    ...content,
  );
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
    });
    yes.className = "danger";
    const box = dialog(
      title,
      signal,
      el("p", {}, words),
      el("div.row.end", {}, button("Keep", () => box.close(), { autofocus: true }), yes),
    );
    box.addEventListener("close", () => resolve(answer));
  });

export const announce = (words) => {
  document.getElementById("said").textContent = words;
};

// A short message in the corner; at most three at a time, and one about the same `topic`.
export const toast = (words, { topic = words, more = [] } = {}) => {
  const place = document.getElementById("toasts");
  for (const old of [...place.children]) if (old.dataset.topic === topic) old.remove();
  while (place.children.length >= 3) place.firstChild.remove();
  const note = el("div.toast", { "data-topic": topic }, el("span", {}, words), ...more);
  const gone = () => note.remove();
  note.append(button("×", gone, { "aria-label": "dismiss", class: "close" }));
  place.append(note);
  announce(words);
  setTimeout(gone, 10000);
};
