// @ts-check
// What a model found of anomalies planted into normal footage, by kind.
import { el, table } from "./elements.js";
import { count, percent } from "./words.js";

const HEADER = ["planted", "found", "95 %", "AUC %", "95 % of AUC"];

const between = (low, high) => `${Math.round(100 * low)} to ${Math.round(100 * high)} %`;
const auc = (share) => (100 * share).toFixed(1);

/** @param {PlantedKind} kind */
const row = (kind) => [
  kind.control ? `${kind.kind} (should not be found)` : kind.kind,
  el(!kind.control && kind.found <= kind.plants / 4 ? "b.bad" : "span",
    `${kind.found} of ${kind.plants}`),
  between(kind.found_low, kind.found_high),
  auc(kind.auc),
  `${auc(kind.auc_low)} to ${auc(kind.auc_high)}`,
];

// In a few words, for a cell.
/** @param {ModelSelfTest | null} test */
export const selfTestWords = (test) => {
  if (!test) return "–";
  if (test.found === null) return "nothing could be planted";
  return `${percent(test.found)} found, AUC ${auc(test.auc)}`;
};

/** @type {(name: string, test: ModelSelfTest) => HTMLElement} */
export const selfTest = (name, test) => {
  const alarms = count(test.false_alarms_per_day, "false alarm");
  const seen = test.held_out ? "" : "  The model has learned from this footage: it knows it.";
  const about = `Anomalies planted into normal footage, at ${alarms} a day.${seen}`;
  const pictures = `/api/models/${encodeURIComponent(name)}/selftest.html`;
  return el("details", { "data-self-test": name },
    el("summary", `What ${name} finds: ${selfTestWords(test)}`),
    el("p.soft", about),
    test.kinds.length ? table(HEADER, test.kinds.map(row), [1, 2, 3, 4]) : null,
    Object.entries(test.left_out).map(([kind, why]) =>
      el("p.soft", `${kind}: not planted, ${why}`)),
    test.pictures
      ? el("p", el("a", { href: pictures, target: "_blank", rel: "noopener" },
        "Pictures of what was missed"))
      : null);
};
