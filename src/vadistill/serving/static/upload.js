// A video from this device: sent, then scored.
import { get, query, upload } from "./api.js";
import { attempt, button, el, empty, field, options, setClass, setText } from "./elements.js";
import { jobList } from "./job.js";
import { bytes } from "./words.js";

export const page = {
  title: "Upload",
  nav: "#/upload",
  async show(root, { signal }) {
    root.append(el("h1", { tabindex: -1 }, "Upload a video"));
    const models = (await get("/api/models", signal)).models.filter((m) => !m.error);
    if (!models.length) {
      root.append(
        empty(
          "A video needs a model to be scored with.",
          "Fit one from normal footage first, or name a fitted one: vadistill serve --model PATH.",
          el("a.button.primary", { href: "#/models" }, "Fit a model"),
        ),
      );
      return;
    }
    let file = null;
    const input = el(
      "input.unseen",
      { type: "file", accept: "video/*,.mkv,.avi,.ts,.mpg,.mpeg,.mov,.mp4,.webm", id: "video" },
    );
    const name = el("p", { "aria-live": "polite" }, "no video chosen");
    const drop = el(
      "div.drop",
      {},
      el("p", {}, "Drop a video here, or"),
      el("label.button", { for: "video" }, "choose one"),
      input,
      name,
    );
    const model = options(el("select"), models.map((m) => [m.name, `${m.name} (${m.system})`]));
    const place = el("div");
    const bar = el("progress", { max: 1, value: 0, "aria-label": "sent", hidden: true });
    const sent = el("p.soft", { "aria-live": "off" });
    const stop = button("stop", () => sending?.abort(), { hidden: true });
    let sending = null;
    const choose = (chosen) => {
      if (!chosen) return;
      file = chosen;
      setText(name, `${file.name}, ${bytes(file.size)}`);
      place.replaceChildren();
    };
    input.onchange = () => choose(input.files[0]);
    drop.ondragover = (event) => {
      event.preventDefault();
      setClass(drop, "over", true);
    };
    drop.ondragleave = () => setClass(drop, "over", false);
    drop.ondrop = (event) => {
      event.preventDefault();
      setClass(drop, "over", false);
      choose(event.dataTransfer.files[0]);
    };
    const submit = el("button.primary", { type: "submit" }, "Score it");
    const form = el(
      "form.card.narrow",
      {},
      drop,
      field("Model", model),
      place,
      bar,
      sent,
      el("div.row.end", {}, stop, submit),
    );
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (!file) {
        setText(name, "Choose a video first.");
        input.focus();
        return;
      }
      sending = new AbortController();
      signal.addEventListener("abort", () => sending.abort(), { signal: sending.signal });
      const shown = (share) => {
        bar.value = share;
        setText(
          sent,
          share < 1
            ? `${Math.round(100 * share)} % of ${bytes(file.size)} sent`
            : "sent; the server looks at it",
        );
      };
      bar.hidden = stop.hidden = false;
      shown(0);
      const job = await attempt(submit, place, () =>
        upload(
          `/api/uploads${query({ model: model.value, title: file.name.slice(0, 120) })}`,
          file,
          shown,
          sending.signal,
        ));
      bar.hidden = stop.hidden = true;
      setText(sent, "");
      sending.abort(); // its listener goes, too
      if (job) location.hash = `#/jobs/${job.id}`;
    };
    root.append(form, el("h2", {}, "Scored videos"));
    const jobs = await jobList(
      "score",
      signal,
      { link: true, none: "None yet. A video that is removed here is also deleted on the server." },
    );
    root.append(jobs.node);
  },
};
