// What the console's modules and the server tell each other: the API's answers, as far as the
// console reads them, and the shapes that several modules share.

interface Level {
  on: number;
  off: number;
  source?: "training" | "camera" | "fixed";
  footage_hours?: number;
  false_alarms_per_day?: number;
  extrapolated?: boolean;
  note?: string;
}
type CameraState =
  | "connecting" | "running" | "retrying" | "ended" | "stopped" | "failed"
  | "dark" | "covered" | "frozen" | "moved";
// Whether parts of the server work, and what does not, in words.
type Health = Record<"disk" | "clockwork", { ok: boolean; detail: string }>;
interface CameraStatus {
  state: CameraState;
  detail: string;
  since: number;
  next_try: number | null;
  frames: number;
  width: number;
  height: number;
  input_fps: number;
  scored_fps: number;
  drop_share: number;
  dropped: number;
  capped: number;
  idle: number;
  corrupt: number;
  reconnects: number;
  latency_ms: { median: number; p95: number } | null;
}
interface Zone {
  name: string;
  corners: [number, number][];
}
// A mask, whose name is null, or a zone.
interface Shape {
  name: string | null;
  corners: [number, number][];
}
interface Camera {
  name: string;
  source: string;
  model: string;
  rtsp_transport: "tcp" | "udp";
  fps: number | null;
  skip_idle: boolean;
  false_alarms_per_day: number;
  frames_to_open: number;
  seconds_to_close: number;
  pre_roll: number;
  record_hours: number;
  masks: [number, number][][];
  zones: Zone[];
  only_zones: boolean;
  least_size: number;
  event_hours: string[];
  check_view: boolean;
  unlike: string | null;
  drift: string | null;
  light: "day" | "night" | null;
  score: number | null;
  has_map: boolean;
  event: number | null;
  muted_until: number | null;
  level: Level | null;
  status: CameraStatus;
}
interface Entries {
  server: { names: string[]; proxies: string[]; upload_mb: number };
  storage: { keep_days: number; keep_gb: number };
}
interface ServerState {
  password: boolean;
  token: boolean;
  settings: Entries;
  defaults: Entries;
}
interface CameraEvent {
  id: number;
  camera: string;
  state: "open" | "closed";
  start: number;
  end: number | null;
  duration: number | null;
  peak: number | null;
  level: number | null;
  verdict: "real" | "false" | null;
  interrupted: boolean;
  cause: string | null;
  box: [number, number, number, number] | null;
  zone: string | null;
  reason: string | null;
  thumbnail: boolean;
  clip: boolean;
}
interface Sink {
  name: string;
  kind: string;
  describe: string;
  state: string;
  pending: number;
  delivered: number;
  failures: number;
  last_error: string | null;
  prefix: string;
  quiet_minutes: number;
  enabled: boolean;
  signed: boolean;
}
interface FalseAlarm {
  event: number;
  start: number;
  held: number;
  last: number | null;
}
type Verdict = CameraEvent["verdict"];
interface PlantedKind {
  kind: string;
  control: boolean;
  plants: number;
  found: number;
  found_low: number;
  found_high: number;
  auc: number;
  auc_low: number;
  auc_high: number;
}
interface ModelSelfTest {
  kinds: PlantedKind[];
  left_out: Record<string, string>;
  false_alarms_per_day: number;
  held_out: boolean;
  found: number | null;
  auc: number | null;
  pictures: boolean;
}
interface Choice {
  kept: string;
  reason: string;
}
interface Model {
  name: string;
  system: string;
  supervision: string;
  latency_frames: number | null;
  cameras: string[];
  self_test: ModelSelfTest | null;
  choice: Choice | null;
  error: string | null;
}
interface ServerJob {
  id: string;
  kind: "fit" | "score";
  title: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  step: string;
  progress: number | null;
  created: number;
  started: number | null;
  ended: number | null;
  error: string | null;
  result: JobResult | null;
  camera: string | null;
  left: number | null;
}
// What a camera has shown so far to learn from.
interface Learning {
  seconds: number;
  least: number;
  advised: number;
  by_hour: number[];
  looked: number;
  busy: number;
  objects: number;
  job: ServerJob | null;
}
type StepState = "done" | "now" | "open" | "later";
interface JobResult {
  frames: number;
  level: number | null;
  note?: string;
  events: { start: number; end: number; peak: number }[];
}
interface EventFilter {
  camera?: string;
  when?: string;
  verdict?: string;
  from?: string;
  to?: string;
}

interface PageContext {
  signal: AbortSignal;
  query: Record<string, string>;
  setQuery: (values: EventFilter) => void;
  part: string | null;
}
interface Page {
  title: string;
  nav: string;
  show(root: HTMLElement, context: PageContext): Promise<void>;
}
interface Row<T> {
  node: HTMLElement;
  stop?: AbortController;
  show(item: T): void;
}

// "p.soft" makes a <p>.
type TagOf<K extends string> = K extends `${infer T}.${string}` ? T : K;
type ElementOf<K extends string> = TagOf<K> extends keyof HTMLElementTagNameMap
  ? HTMLElementTagNameMap[TagOf<K>]
  : HTMLElement;

interface Element {
  /** What a canvas shows, so that observers can tell it. */
  curve?: any;
  tile?: any;
}
