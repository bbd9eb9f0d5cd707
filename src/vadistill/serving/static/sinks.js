// @ts-check
// Where events are sent: how that goes, and adding, changing, testing, removing.
import {
  attempt, button, confirmed, dialog, el, empty, every, field, form, literal, NAME_HINT, nameInput,
  number, problem, select, setHidden, setText, showRows, toast,
} from "./elements.js";
import { get, patch, post, remove } from "./server.js";
import { count } from "./words.js";

const EVERY = 5000; // ms between looks
const KINDS = [
  ["webhook", "webhook: another program, by HTTP"],
  ["mqtt", "MQTT, with Home Assistant's discovery"],
  ["apprise", "people: mail, ntfy, Telegram, … (Apprise)"],
  ["stdout", "standard output: lines of JSON"],
];
const EXAMPLES = {
  webhook: "https://example.org/alerts", mqtt: "mqtt://user:password@broker:1883",
  apprise: "ntfys://ntfy.sh/my-topic",
};
const HINTS = {
  webhook: "It gets a POST of JSON for each event.",
  mqtt: "mqtt:// or mqtts:// and the broker's name.",
  apprise: "One of Apprise's addresses, or several with blanks between them.",
};

// The form of a sink's settings; `sink` is null for a new one.  `saved` hears all sinks.
/** @type {(sink: Sink | null, signal: AbortSignal, saved: (sinks: Sink[]) => void)
 *    => HTMLElement} */
const sinkForm = (sink, signal, saved) => {
  const name = nameInput();
  const kind = select(KINDS, sink?.kind ?? "webhook");
  const url = literal({ maxlength: 2000, type: "url", required: !sink });
  url.type = "text"; // Apprise has schemes that browsers do not know
  const secret = literal({
    maxlength: 1000, placeholder: sink?.signed ? "unchanged" : "none: messages are not signed",
  });
  const unsigned = el("input", { type: "checkbox" });
  const prefix = literal({ value: sink?.prefix ?? "vadistill", required: true, maxlength: 200 });
  const quiet = number(sink?.quiet_minutes ?? 0, { min: 0, required: true });
  const hint = "A text that both sides know; it is kept on the server and never shown.";
  const where = el("div");
  const parts = {
    webhook: el("div", field("Secret that signs messages", secret, hint),
      sink?.signed ? field("Sign nothing any more", unsigned) : null),
    mqtt: field("First part of topics", prefix),
    apprise: field("Minutes without another message of the same camera", quiet,
      "Events meanwhile are counted, not told. Default: 0."),
  };
  const show = () => {
    const chosen = sink?.kind ?? kind.value;
    url.placeholder = sink ? `unchanged: ${sink.describe}` : EXAMPLES[chosen] ?? "";
    url.required = !sink && chosen !== "stdout";
    where.replaceChildren(field("Address", url,
      `${HINTS[chosen] ?? ""} A password in it is kept on the server and never shown.`));
    setHidden(where, !(chosen in EXAMPLES));
    for (const [other, part] of Object.entries(parts)) setHidden(part, other !== chosen);
  };
  kind.onchange = show;
  show();
  const send = async (submit, place) => {
    const chosen = sink?.kind ?? kind.value;
    /** @type {Record<string, any>} */
    const values = {};
    const address = url.value.trim();
    if (address && chosen in EXAMPLES) values.url = address;
    if (chosen === "webhook" && secret.value) values.secret = secret.value;
    if (chosen === "webhook" && unsigned.checked) values.secret = "";
    if (chosen === "mqtt") values.prefix = prefix.value.trim();
    if (chosen === "apprise") values.quiet_minutes = Number(quiet.value);
    const found = await attempt(submit, place, () =>
      sink
        ? patch(`/api/sinks/${sink.name}`, values, signal)
        : post("/api/sinks", { name: name.value.trim(), kind: chosen, ...values }, signal));
    if (found) saved(found.sinks);
  };
  return form("form.settings", sink ? "Save changes" : "Save", [
    sink ? null : field("Name", name, NAME_HINT),
    sink ? null : field("Where", kind),
    where, ...Object.values(parts),
  ], send);
};

/** @param {Sink} s */
const words = (s) => [
  `${s.pending} waiting`, `${s.delivered} delivered`, count(s.failures, "failure"),
  s.signed ? "signed" : "", s.quiet_minutes ? `quiet for ${s.quiet_minutes} min` : "",
].filter(Boolean).join(" · ");

class SinkCard {
  /** @param {Sink} sink @param {(sinks: Sink[]) => void} changed @param {AbortSignal} signal */
  constructor(sink, changed, signal) {
    const { name } = sink;
    const path = `/api/sinks/${name}`;
    this.sink = sink;
    this.badge = el("span.badge");
    this.about = el("p");
    this.figures = el("p.soft");
    this.error = el("p.bad");
    const place = el("div");
    const act = async (pressed, action) => {
      const found = await attempt(pressed, place, action);
      if (found) changed(found.sinks);
      return found;
    };
    this.test = button("test", async () => {
      const sent = await act(this.test, () => post(`${path}/test`, {}, signal));
      if (sent) toast(`A test is under way to ${name}`);
    }, { "aria-label": `send a test to ${name}` });
    const change = button("change", () => {
      const box = dialog(`Change ${name}`, signal, sinkForm(this.sink, signal, (sinks) => {
        box.close();
        toast(`${name} is saved`);
        changed(sinks);
      }));
    }, { "aria-label": `change ${name}` });
    this.off = button("", () =>
      act(this.off, () => patch(path, { enabled: !this.sink.enabled }, signal)));
    const drop = button("remove", async () => {
      const lost = "What waits for it is dropped.";
      if (await confirmed(`Remove ${name}?`, lost, "Remove", signal))
        await act(drop, () => remove(path, signal));
    }, { class: "danger", "aria-label": `remove ${name}` });
    this.node = el("article.card.job", { "data-sink": name },
      el("div.head", el("b", name), this.badge), this.about, this.figures, this.error, place,
      el("div.row", this.test, change, this.off, drop));
    this.show(sink);
  }

  /** @param {Sink} sink */
  show(sink) {
    this.sink = sink;
    const failing = sink.last_error !== null && sink.pending > 0;
    setText(this.badge, sink.state);
    this.badge.dataset.kind = !sink.enabled ? "off" : failing ? "retrying" : "running";
    setText(this.about, `${sink.kind}: ${sink.describe}`);
    setText(this.figures, sink.enabled ? words(sink) : "Nothing is sent there.");
    setText(this.error, sink.last_error ?? "");
    setHidden(this.error, !sink.last_error);
    setHidden(this.test, !sink.enabled);
    setText(this.off, sink.enabled ? "turn off" : "turn on");
    this.off.setAttribute("aria-label", `turn ${sink.enabled ? "off" : "on"} ${sink.name}`);
  }
}

// All sinks, kept up to date, and the button that adds one.
/** @type {(signal: AbortSignal) => { node: HTMLElement, add: HTMLButtonElement,
 *    load: () => Promise<void> }} */
export const sinkList = (signal) => {
  /** @type {Map<string, SinkCard>} */
  const cards = new Map();
  const list = el("div.jobs");
  const place = el("div");
  const none = empty("Events are sent nowhere yet.",
    "They may go to another program (webhook), to an MQTT broker with Home Assistant's " +
      "discovery, or to people: mail, ntfy, Telegram and others.");
  /** @param {Sink[]} sinks */
  const show = (sinks) => {
    showRows(list, cards, sinks, (sink) => sink.name, (sink) => new SinkCard(sink, show, signal));
    setHidden(none, sinks.length > 0);
    place.replaceChildren();
  };
  const load = async () => show((await get("/api/sinks", signal)).sinks);
  const add = button("Add a receiver", () => {
    const box = dialog("Add a receiver", signal, sinkForm(null, signal, (sinks) => {
      box.close();
      toast("It is saved: send it a test");
      show(sinks);
    }));
  });
  every(EVERY, () => {
    load().catch((error) => {
      // The page's banner tells of a lost connection.
      if (error.name === "ApiError" && error.status) place.replaceChildren(problem(error));
    });
  }, signal);
  none.hidden = true;
  return { node: el("div", none, list, place), add, load };
};
