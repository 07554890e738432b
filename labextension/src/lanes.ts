/**
 * The task stream as data: bars in lanes, one lane for each slot of each worker. What is drawn is decided here, and drawn
 * elsewhere. What left the window of time is forgotten, so a stream that is watched for days stays small.
 */
import type { Task, TaskEvent } from './parts';

export const WINDOW_S = 60;
export const BARS_MAX = 5000;

export interface Bar {
  readonly key: string;
  readonly label: string;
  readonly lane: string;
  readonly startedS: number;
  readonly stoppedS: number; // that of a running one is now
  readonly kind: 'finished' | 'failed' | 'retried' | 'running';
}

/** A worker's death, restart or the like: a line through all lanes. */
export interface Mark {
  readonly atS: number;
  readonly words: string;
}

const RUNS: readonly string[] = ['finished', 'failed', 'retried'];
const MARKS: readonly string[] = ['worker-lost', 'worker-joined', 'worker-left', 'restarted'];

export class Lanes {
  bars: Bar[] = [];
  marks: Mark[] = [];
  skipped = 0;

  private running: Bar[] = [];
  private lanesOfWorkers: string[] = [];

  /** Take what happened; `skipped` events could not be told. */
  add(events: readonly TaskEvent[], skipped: number): void {
    for (const event of events) {
      if (RUNS.includes(event.kind) && event.startedS > 0) {
        this.bars.push(toBar(event));
      } else if (MARKS.includes(event.kind)) {
        this.marks.push({ atS: event.atS, words: wordsOf(event) });
      }
    }
    this.skipped += skipped;
    if (this.bars.length > BARS_MAX) {
      this.bars = this.bars.slice(-BARS_MAX);
    }
  }

  /** Take which slots there are and what runs on them now. */
  setRunning(slots: readonly { name: string; slots: number }[], running: readonly Task[]): void {
    this.lanesOfWorkers = slots.flatMap(({ name, slots: amount }) =>
      Array.from({ length: amount }, (_, slot) => laneOf(name, slot))
    );
    this.running = running
      .filter(task => task.startedS > 0)
      .map(task => ({
        key: task.key,
        label: task.label,
        lane: laneOf(task.worker, task.slot),
        startedS: task.startedS,
        stoppedS: 0,
        kind: 'running'
      }));
  }

  /** Forget what ended before a time. */
  forgetBefore(atS: number): void {
    this.bars = this.bars.filter(bar => bar.stoppedS >= atS);
    this.marks = this.marks.filter(mark => mark.atS >= atS);
  }

  /** The lanes in order: those of present workers, and those of workers that are gone and have bars. */
  get lanes(): string[] {
    return [...new Set([...this.lanesOfWorkers, ...this.bars.map(bar => bar.lane)])].sort((a, b) =>
      a.localeCompare(b, undefined, { numeric: true })
    );
  }

  /** All bars at a time; running ones reach to it. */
  barsAt(nowS: number): Bar[] {
    return [...this.bars, ...this.running.map(bar => ({ ...bar, stoppedS: nowS }))];
  }

  clear(): void {
    this.bars = [];
    this.marks = [];
    this.skipped = 0;
  }
}

export function laneOf(worker: string, slot: number): string {
  return `${worker}.${slot}`;
}

/** The Okabe-Ito colours: told apart by everybody. */
export const COLOURS = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#d55e00',
  '#f0e442'
];

/** A function's colour: the same in every session. */
export function colourOf(label: string): string {
  let hash = 0;
  for (const letter of label) {
    hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003;
  }
  return COLOURS[hash % COLOURS.length];
}

/** The bar at a place, the topmost first. */
export function barAt(bars: readonly Bar[], lane: string, atS: number): Bar | undefined {
  return [...bars]
    .reverse()
    .find(bar => bar.lane === lane && bar.startedS <= atS && atS <= bar.stoppedS);
}

function toBar(event: TaskEvent): Bar {
  return {
    key: event.key,
    label: event.label,
    lane: laneOf(event.worker, event.slot),
    startedS: event.startedS,
    stoppedS: event.stoppedS,
    kind: event.kind as Bar['kind']
  };
}

function wordsOf(event: TaskEvent): string {
  return [event.kind, event.worker, event.detail].filter(Boolean).join(' ');
}
