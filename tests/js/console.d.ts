// What the console's modules and the server tell each other: the API's answers, as far as the
// console reads them, and the shapes that several modules share.

interface Level {
  on: number;
  off: number;
  source?: "training" | "camera" | "fixed";
  footage_hours?: number;
  false_alarms_per_day?: number;
  extrapolated?: boolean;
}
type CameraState = "connecting" | "running" | "retrying" | "ended" | "stopped" | "failed";
interface CameraStatus {
  state: CameraState;
  detail: string;
  since: number;
  next_try: number | null;
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
interface Camera {
  name: string;
  source: string;
  model: string;
  fps: number | null;
  skip_idle: boolean;
  false_alarms_per_day: number;
  record_hours: number;
  score: number | null;
  event: number | null;
  level: Level | null;
  status: CameraStatus;
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
  thumbnail: boolean;
  clip: boolean;
}
type Verdict = CameraEvent["verdict"];
interface Model {
  name: string;
  system: string;
  supervision: string;
  latency_frames: number | null;
  cameras: string[];
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
}
interface JobResult {
  frames: number;
  level: number | null;
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
