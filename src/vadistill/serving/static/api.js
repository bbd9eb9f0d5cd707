// Requests to the server.  Every error is an ApiError with what to do about it.

export class ApiError extends Error {
  constructor(status, code, message, remedy) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, code, remedy });
  }
}

export const session = { required: false, signed_in: false, csrf: null, version: "" };
let signedOut = () => {};
export const whenSignedOut = (listener) => {
  signedOut = listener;
};

const SAFE = new Set(["GET", "HEAD"]);
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
  let found = {};
  try {
    found = JSON.parse(text).error || {};
  } catch {
    // Not from vadistill itself, such as a proxy's page.
  }
  const message = found.message || `the server answered ${status}`;
  return new ApiError(status, found.code || String(status), message, found.remedy || "");
};

const told = (error) => {
  // A wrong password is no ended session.
  if (error.status === 401 && error.code !== "wrong_password" && session.required) {
    session.signed_in = false;
    signedOut();
  }
  return error;
};

// JSON in, JSON out.  Throws ApiError, or an AbortError once `signal` is aborted.
export const call = async (method, path, { body, signal, again = true } = {}) => {
  const sent = { method, headers: headers(method), signal };
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
  if (answer.ok) return text ? JSON.parse(text) : null;
  if (answer.status === 403 && again && session.csrf && !SAFE.has(method)) {
    // The server has started anew, or another tab has signed in: its token is another one now.
    const before = session.csrf;
    await loadSession();
    if (session.csrf !== before) return call(method, path, { body, signal, again: false });
  }
  throw told(failure(answer.status, text));
};

export const get = (path, signal) => call("GET", path, { signal });
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
      if (request.status < 300) resolve(JSON.parse(request.responseText));
      else reject(told(failure(request.status, request.responseText)));
    };
    request.onerror = () => reject(offline());
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.send(file);
  });

export const query = (values) => {
  const given = Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};
