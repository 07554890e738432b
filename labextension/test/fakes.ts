/**
 * What tests put in the place of the world: a clock they move, a server that answers what it is told, a translator.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Clock } from '../src/feed';
import { type Cluster, type Reply, type Requester, toCluster } from '../src/restapi';

export function makeCluster(fields: Partial<Cluster> = {}): Cluster {
  return toCluster({ name: 'default', state: 'running', workers: 2, wanted: 2, ...fields });
}

/** Runs what is due when its time is moved. */
export class FakeClock implements Clock {
  private nowMs = 1_000_000;
  private readonly timers = new Map<number, { atMs: number; run: () => void }>();
  private last = 0;

  now(): number {
    return this.nowMs;
  }

  setTimeout(run: () => void, delayMs: number): unknown {
    this.last += 1;
    this.timers.set(this.last, { atMs: this.nowMs + delayMs, run });
    return this.last;
  }

  clearTimeout(timer: unknown): void {
    this.timers.delete(timer as number);
  }

  /** In how many milliseconds something is due; null when nothing is. */
  get nextMs(): number | null {
    const due = [...this.timers.values()].map(timer => timer.atMs - this.nowMs);
    return due.length > 0 ? Math.min(...due) : null;
  }

  async advance(ms: number): Promise<void> {
    this.nowMs += ms;
    for (const [id, timer] of [...this.timers]) {
      if (timer.atMs <= this.nowMs) {
        this.timers.delete(id);
        timer.run();
      }
    }
    await settled();
  }
}

/** Let every promise that can be settled be settled. */
export function settled(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve);
  });
}

export interface Request {
  readonly path: string;
  readonly method: string;
  readonly body: unknown;
}

export class FakeServer {
  readonly requests: Request[] = [];
  reply: Reply = { status: 200, text: '{"clusters": []}' };

  readonly request: Requester = (path, method, body) => {
    this.requests.push({ path, method, body: body === undefined ? undefined : JSON.parse(body) });
    return Promise.resolve(this.reply);
  };

  answer(status: number, value?: unknown): void {
    this.reply = { status, text: value === undefined ? '' : JSON.stringify(value) };
  }
}

/** Says everything in English. */
export const english = {
  __: (text: string, ...values: unknown[]) => fill(text, values),
  _n: (one: string, many: string, n: number, ...values: unknown[]) =>
    fill(n === 1 ? one : many, [n, ...values])
} as unknown as TranslationBundle;

function fill(text: string, values: unknown[]): string {
  return text.replace(/%(\d)/g, (_, place: string) => String(values[Number(place) - 1]));
}
