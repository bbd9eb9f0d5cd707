// @ts-check
// The server: requests to it, and what it tells by itself.

// -- requests -------------------------------------------------------------------------------------

// Every error of a request is an ApiError with what to do about it.
export class ApiError extends Error {
  constructor(status, code, message, remedy) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.remedy = remedy;
  }
}

export const session = { required: false, signed_in: false, csrf: null, version: "" };
let signedOut = () => {};
export const whenSignedOut = (listener) => {
  signedOut = listener;
};

const SAFE = new Set(["GET", "HEAD"]);
const ANSWERED = "X-Vadistill-Answered";
let changes = 0; // made from here, whose answers have come
let changed = 0; // when the last was answered, in seconds of the server's
/** @type {(method: string) => Record<string, string>} */
const headers = (method) => {
  if (SAFE.has(method)) return {};
  const found = { "X-Requested-With": "vadistill" };
  if (session.csrf) found["X-CSRF-Token"] = session.csrf;
  return found;
};

const offline = () =>
  new ApiError(
    0,
    "offline",
    "the server does not answer",
    "see whether 'vadistill serve' is still running and this device is on its network",
  );

const failure = (status, text) => {
  let found = /** @type {Record<string, string>} */ ({});
  try {
    found = JSON.parse(text).error || {};
  } catch {
    // Not from vadistill itself, such as a proxy's page.
  }
  const message = found.message || `the server answered ${status}`;
  return new ApiError(status, found.code || String(status), message, found.remedy || "");
};

// What was known of the cameras may be of before the change.
const noteChange = (answered) => {
  changes += 1;
  changed = Math.max(changed, Number(answered));
  latest.cameras = null;
};

const noticed = (error) => {
  // A wrong password is no ended session.
  if (error.status === 401 && error.code !== "wrong_password" && session.required) {
    session.signed_in = false;
    signedOut();
  }
  return error;
};

// JSON in, JSON out.  Throws ApiError, or an AbortError once `signal` is aborted.
/** @type {(method: string, path: string, more?: { body?: any, signal?: AbortSignal,
 *    again?: boolean }) => Promise<any>} */
export const call = async (method, path, { body, signal, again = true } = {}) => {
  const sent = { method, headers: headers(method), signal, body: undefined };
  if (body !== undefined) {
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let answer, text;
  try {
    answer = await fetch(path, sent);
    text = await answer.text();
  } catch (error) {
    throw error.name === "AbortError" ? error : offline();
  }
  if (answer.ok) {
    if (!SAFE.has(method)) noteChange(answer.headers.get(ANSWERED));
    return text ? JSON.parse(text) : null;
  }
  if (answer.status === 403 && again && session.csrf && !SAFE.has(method)) {
    // The server has started anew, or another tab has signed in: its token is another one now.
    const before = session.csrf;
    await loadSession();
    if (session.csrf !== before) return call(method, path, { body, signal, again: false });
  }
  throw noticed(failure(answer.status, text));
};

// What is.  An answer that a change overtook on its way may be of before it: it is asked anew.
export const get = async (path, signal) => {
  for (;;) {
    const before = changes;
    const found = await call("GET", path, { signal });
    if (changes === before) return found;
  }
};
export const post = (path, body, signal) => call("POST", path, { body, signal });
export const patch = (path, body, signal) => call("PATCH", path, { body, signal });
export const remove = (path, signal) => call("DELETE", path, { signal });

export const loadSession = async () => Object.assign(session, await get("/api/session"));
export const signIn = async (password) =>
  Object.assign(session, await post("/api/session", { password }));
export const signOut = async () => {
  await remove("/api/session");
  Object.assign(session, { signed_in: false, csrf: null });
  signedOut();
};

// Sends a file as it is; `progress` hears the share that is sent, 0 to 1.
export const upload = (path, file, progress, signal) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("PUT", path);
    for (const [name, value] of Object.entries(headers("PUT")))
      request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) =>
      event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => {
      const { status, responseText } = request;
      if (status >= 300) return reject(noticed(failure(status, responseText)));
      noteChange(request.getResponseHeader(ANSWERED));
      resolve(JSON.parse(responseText));
    };
    request.onerror = () => reject(offline());
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.send(file);
  });

/** @type {(values: Record<string, any>) => string} */
export const query = (values) => {
  const given = Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

// -- what it tells by itself: cameras, scores, events and jobs, over one connection ---------------

const KINDS = ["cameras", "scores", "event", "job"];
const SILENCE = 12000; // ms; cameras are told once a second
const UNSEEN = 60000; // ms after which a page that nobody sees lets go of its connection
const RETRY = [1000, 2000, 4000, 8000];

const listeners = new Map([...KINDS, "state"].map((kind) => [kind, new Set()]));
let source = null;
let heard = 0;
let tries = 0;
let retry = null;
let watch = null;
let unseen = null;

// The last list of cameras, so that a page has something to show at once.
export const latest = { cameras: /** @type {Camera[] | null} */ (null), state: "connecting" };
/** @type {(signal: AbortSignal) => Promise<Camera[]>} */
export const allCameras = async (signal) =>
  latest.cameras ?? (await get("/api/cameras", signal)).cameras;
/** @type {(signal: AbortSignal) => Promise<Model[]>} */
export const soundModels = async (signal) =>
  (await get("/api/models", signal)).models.filter((model) => !model.error);

// Calls `again` whenever the connection is there anew, when something may have been missed.
export const whenConnected = (again, signal) =>
  on("state", (state) => state === "connected" && again(), signal);

/** @type {(kind: string, listener: (data: any) => void, signal: AbortSignal) => void} */
export const on = (kind, listener, signal) => {
  const group = listeners.get(kind);
  group.add(listener);
  signal.addEventListener("abort", () => group.delete(listener), { once: true });
};

const tell = (kind, data) => {
  for (const listener of [...listeners.get(kind)]) listener(data);
};

const state = (now) => {
  if (latest.state === now) return;
  latest.state = now;
  tell("state", now);
};

const hangUp = () => {
  clearTimeout(retry);
  source?.close();
  source = null;
};

const connect = () => {
  hangUp();
  changed = 0; // it may be another server, whose seconds begin anew
  const mine = new EventSource("/api/stream");
  source = mine;
  heard = performance.now();
  mine.onopen = () => {
    heard = performance.now();
    tries = 0;
    state("connected");
  };
  mine.onerror = () => {
    if (mine === source) lost();
  };
  for (const kind of KINDS)
    mine.addEventListener(kind, (event) => {
      if (mine !== source) return;
      heard = performance.now();
      const data = JSON.parse(event.data);
      if (kind === "cameras" && data.asked < changed) return;
      if (kind === "cameras") latest.cameras = data.cameras;
      if (kind === "scores") setClock(data.points);
      tell(kind, data);
    });
};

// A browser's own reconnecting gives up after an answer such as 502, and never notices a silent
// connection; so every attempt is a new one.
const lost = () => {
  hangUp();
  state("lost");
  retry = setTimeout(connect, RETRY[Math.min(tries++, RETRY.length - 1)]);
};

// Six pages in one browser would take all connections that it opens to a server.
const sleep = () => {
  clearTimeout(unseen);
  if (watch === null) return;
  if (document.hidden) {
    unseen = setTimeout(() => {
      hangUp();
      latest.state = "connecting";
    }, UNSEEN);
  } else if (!source) connect();
};
document.addEventListener("visibilitychange", sleep);

export const start = () => {
  if (watch !== null) return;
  connect();
  watch = setInterval(() => {
    if (source && performance.now() - heard > SILENCE) lost();
  }, 2000);
};

export const stop = () => {
  clearInterval(watch);
  watch = null;
  hangUp();
  latest.cameras = null;
  latest.state = "connecting";
};

// The server's clock may differ from the browser's: curves and counters follow the server's.
// Points arrive a moment after their time, so the largest difference seen lately is the nearest.
let offset = null;
let offsetSet = 0;
const setClock = (points) => {
  if (!points.length) return;
  const now = Date.now() / 1000;
  const found = points[points.length - 1][0] - now;
  if (offset === null || found > offset || now - offsetSet > 60 || now < offsetSet) {
    offset = found;
    offsetSet = now;
  }
};
export const serverNow = () => Date.now() / 1000 + (offset ?? 0);
