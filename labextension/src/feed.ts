/**
 * Keeps the list of clusters true while somebody looks. The first list is asked for; from then on the feed's socket tells
 * what changes. While there is no socket (it was lost, or a proxy forbids it) the list is asked for every two seconds, and
 * when the server does not answer, after 1, 2, 4 … 30 seconds. One question at a time; none while nobody looks.
 *
 * The clock is handed in, so tests move it.
 */
import type { ClusterList } from './model';
import { type Cluster, toCluster } from './restapi';
import type { FeedSocket, Told } from './socket';

export const INTERVAL_MS = 2000;
export const BACK_OFF_MS_MIN = 1000;
export const BACK_OFF_MS_MAX = 30000;
export const TOPIC = 'clusters';

export interface Clock {
  now(): number;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface ClusterSource {
  list(): Promise<Cluster[]>;
}

export class Feed {
  /** How often the socket tells of changes at most. */
  intervalS = 1;

  private isAsking = false;
  private isAskedAgain = false;
  private isLive = false;
  private failures = 0;
  private timer: unknown = null;
  private unwatch: (() => void) | null = null;
  private readonly lookers = new Set<string>();

  constructor(
    private readonly source: ClusterSource,
    private readonly list: ClusterList,
    private readonly clock: Clock,
    private readonly socket: FeedSocket | null = null
  ) {}

  private get isWatching(): boolean {
    return this.lookers.size > 0;
  }

  /** Somebody looks from now on, or does not any more. */
  setWatching(isWatching: boolean, who = ''): void {
    const before = this.isWatching;
    if (isWatching) {
      this.lookers.add(who);
    } else {
      this.lookers.delete(who);
    }
    if (this.isWatching === before) {
      return;
    }
    this.cancel();
    if (isWatching) {
      void this.refresh();
      this.listen();
    } else {
      this.unwatch?.();
      this.unwatch = null;
      this.isLive = false;
    }
  }

  /** Ask now. While a question is under way, ask once more when it is answered. */
  async refresh(): Promise<void> {
    this.cancel();
    if (this.isAsking) {
      this.isAskedAgain = true;
      return;
    }
    this.isAsking = true;
    const delayMs = await this.ask();
    this.isAsking = false;
    if (this.isAskedAgain) {
      this.isAskedAgain = false;
      await this.refresh();
    } else if (this.isWatching && !this.isLive) {
      this.timer = this.clock.setTimeout(() => void this.refresh(), delayMs);
    }
  }

  private listen(): void {
    this.unwatch =
      this.socket?.watch(TOPIC, this.intervalS, {
        told: told => {
          this.onTold(told);
        },
        lost: () => {
          if (this.isLive) {
            this.isLive = false;
            void this.refresh();
          }
        }
      }) ?? null;
  }

  private onTold(told: Told): void {
    const nowMs = this.clock.now();
    if (told.kind === 'snapshot') {
      this.list.listed(clustersOf(told.clusters), nowMs);
    } else if (told.kind === 'delta') {
      const removed = Array.isArray(told.removed) ? told.removed.map(String) : [];
      this.list.changedTo(clustersOf(told.changed), removed, nowMs);
    } else {
      return;
    }
    this.isLive = true;
    this.failures = 0;
    this.cancel();
  }

  private async ask(): Promise<number> {
    try {
      const clusters = await this.source.list();
      this.failures = 0;
      this.list.listed(clusters, this.clock.now());
      return INTERVAL_MS;
    } catch (error) {
      const delayMs = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS_MIN * 2 ** this.failures);
      this.failures += 1;
      this.list.failed(error, this.clock.now() + delayMs);
      return delayMs;
    }
  }

  private cancel(): void {
    if (this.timer !== null) {
      this.clock.clearTimeout(this.timer);
      this.timer = null;
    }
  }
}

function clustersOf(value: unknown): Cluster[] {
  return Array.isArray(value) ? value.map(toCluster) : [];
}
