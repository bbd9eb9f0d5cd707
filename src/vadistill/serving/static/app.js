// @ts-check
// The frame of the console: pages by the address's hash, session, theme, connection, new events.
import { page as areas } from "./areas.js";
import { page as camera } from "./camera.js";
import { addPage as add } from "./camera_settings.js";
import { recolour } from "./curve.js";
import {
  announce, attempt, button, el, empty, field, form, heading, problem, setHidden, setText, toast,
} from "./elements.js";
import { page as events } from "./events.js";
import { jobPage as job, uploadPage as upload } from "./jobs.js";
import { page as learn } from "./learn.js";
import { page as models } from "./models.js";
import {
  latest, loadSession, on, query, session, signIn, signOut, start, stop, whenSignedOut,
} from "./server.js";
import { page as status } from "./status.js";
import { page as wall } from "./wall.js";
import { score } from "./words.js";

const NAME = "([a-z0-9][a-z0-9-]{0,39})";
/** @type {[RegExp, Page][]} */
const PAGES = [
  [/^\/$/, wall],
  [new RegExp(`^/cameras/${NAME}$`), camera],
  [new RegExp(`^/cameras/${NAME}/areas$`), areas],
  [new RegExp(`^/cameras/${NAME}/learn$`), learn],
  [/^\/add$/, add],
  [/^\/events$/, events],
  [/^\/upload$/, upload],
  [/^\/jobs\/([\w-]{1,40})$/, job],
  [/^\/models$/, models],
  [/^\/status$/, status],
];
const NAV = [wall, events, upload, models, status];

const root = document.getElementById("main");
const nav = document.getElementById("nav");
const banner = document.getElementById("banner");
const forever = new AbortController().signal;
let current = new AbortController();
let shown = null; // the page and its part, for changes of the query alone
let first = true;

// -- pages ----------------------------------------------------------------------------------------

const place = () => {
  const [path, search = ""] = (location.hash.slice(1) || "/").split("?");
  return { path, query: Object.fromEntries(new URLSearchParams(search)) };
};

// A page's filters belong to its address, but changing them does not load the page anew.
const setQuery = (values) => {
  history.replaceState(null, "", `#${place().path}${query(values)}`);
};

/** @type {Page} */
const missing = {
  title: "Not found",
  nav: "",
  async show(root) {
    root.append(heading("Not found"),
      empty("There is no such page.", "It may have been renamed or removed.",
        el("a.button", { href: "#/" }, "See the cameras")));
  },
};

const failed = (error) => {
  if (error.name === "AbortError") return;
  if (error.status === 401 && session.required) return;
  const known = error.name === "ApiError";
  if (!known) console.error(error);
  if (!root.querySelector("h1")) root.prepend(heading("This did not work"));
  root.append(
    problem(known ? error : new Error("this page failed; load it again")),
    el("p", button("Try again", route)),
  );
};

const route = async () => {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const { path, query } = place();
  /** @type {[RegExp, Page]} */
  const [pattern, page] = PAGES.find(([known]) => known.test(path)) ?? [/^/, missing];
  document.title = `${page.title} – vadistill`;
  for (const link of nav.querySelectorAll("a")) {
    if (link.getAttribute("href") === page.nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = el("div");
  root.replaceChildren(view);
  shown = page;
  scrollTo(0, 0);
  try {
    await page.show(view, { signal, query, setQuery, part: path.match(pattern)?.[1] ?? null });
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
  // Readers begin with the new page's heading; not on the first load, where nothing was left.
  const busy = document.querySelector("dialog[open]") || view.contains(document.activeElement);
  if (!signal.aborted && !first && !busy) root.querySelector("h1")?.focus({ preventScroll: true });
  first = false;
};

// -- session --------------------------------------------------------------------------------------

// Signing in, where the console is reachable from beyond its own machine.
const login = () => {
  const password = el("input", {
    type: "password", autocomplete: "current-password", required: true, maxlength: 1000,
  });
  // A password store wants a user name to keep the password under.
  const user = el("input.unseen", {
    type: "text", autocomplete: "username", value: "vadistill", tabindex: -1,
    "aria-hidden": "true", readonly: true,
  });
  const send = async (pressed, place) => {
    const done = await attempt(pressed, place, () => signIn(password.value));
    if (done?.signed_in) return enter();
    password.value = "";
    password.focus();
  };
  const fields = [user, field("Password", password)];
  root.replaceChildren(
    heading("Sign in"), form("form.card.narrow.login", "Sign in", fields, send));
  password.focus();
};

const showLogin = () => {
  current.abort();
  stop();
  showBanner("");
  setHidden(nav, true);
  setHidden(document.getElementById("sign-out"), true);
  document.title = "Sign in – vadistill";
  login();
};

const enter = () => {
  setHidden(nav, false);
  setHidden(document.getElementById("sign-out"), !session.required);
  start();
  route();
};

const begin = async () => {
  try {
    await loadSession();
  } catch (error) {
    root.replaceChildren();
    failed(error);
    root.querySelector("button").onclick = begin;
    return;
  }
  if (session.required && !session.signed_in) showLogin();
  else enter();
};

// -- connection and events ------------------------------------------------------------------------

const showBanner = (words) => {
  setText(banner, words);
  setHidden(banner, !words);
};
// A short break, such as a reload's, is not worth a banner.
let late = null;
const showState = (state) => {
  clearTimeout(late);
  if (state !== "lost") return showBanner("");
  late = setTimeout(showBanner, 1500,
    "The connection to vadistill is lost. What you see is no longer live; trying again …");
  // The stream does not say why it failed: an ended session is one reason.
  loadSession().then(() => session.required && !session.signed_in && showLogin(), () => {});
};

// What the server itself suffers from; how cameras and receivers fare stands beside them.
/** @type {(news: { health: Health }) => void} */
const showHealth = ({ health: { disk, clockwork } }) => {
  if (!disk.ok) showBanner(`What happens may not be kept. The server's disk: ${disk.detail}.`);
  else showBanner(clockwork.ok ? "" : `The server's clockwork: ${clockwork.detail}.`);
};

const openEvents = () => {
  const link = nav.querySelector('a[href="#/events"]');
  const open = (latest.cameras ?? []).filter((c) => c.event !== null).length;
  const mark = link.querySelector("span");
  setText(mark, open ? String(open) : "");
  setHidden(mark, !open);
};

const known = new Set(); // the last events that were announced
const showEvent = (event) => {
  if (event.state !== "open" || known.has(event.id)) return;
  known.add(event.id);
  if (known.size > 100) known.delete(known.values().next().value);
  const words = `Event on ${event.camera}, score ${score(event.peak)}`;
  // The wall and the list show it by themselves.
  if (shown === events || shown === wall) announce(words);
  else {
    const link = el("a", { href: `#/events?event=${event.id}` }, "show");
    toast(words, { topic: event.camera, more: [link] });
  }
};

// -- frame ----------------------------------------------------------------------------------------

for (const page of NAV) {
  const open = page === events && el("span.count", { hidden: true, title: "open events" });
  nav.append(el("a", { href: page.nav }, page.title, open));
}
document.getElementById("theme").onclick = () => {
  const element = document.documentElement;
  const dark = getComputedStyle(element).colorScheme === "dark" ||
    (element.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  element.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("vadistill-theme", element.dataset.theme);
  recolour();
};
document.getElementById("sign-out").onclick = () =>
  signOut().catch((error) => toast(error.message));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // its address would be taken for a page's
  root.focus();
});
addEventListener("hashchange", () => {
  if (!session.required || session.signed_in) route();
});
// A page that a browser keeps for the way back must not keep connections, of which there are few.
addEventListener("pagehide", () => {
  current.abort();
  stop();
});
addEventListener("pageshow", (event) => event.persisted && begin());
whenSignedOut(showLogin);
on("state", showState, forever);
on("cameras", openEvents, forever);
on("cameras", showHealth, forever);
on("event", showEvent, forever);
begin();
