/**
 * Keeps the list of clusters true while somebody looks: asks every two seconds, and when the server does not answer,
 * after 1, 2, 4 … 30 seconds. One question at a time; none while nobody looks.
 *
 * The clock is handed in, so tests move it.
 */
import type { ClusterList } from './model';
import type { Cluster } from './restapi';

export const INTERVAL_MS = 2000;
export const BACK_OFF_MS_MIN = 1000;
export const BACK_OFF_MS_MAX = 30000;

export interface Clock {
  now(): number;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface ClusterSource {
  list(): Promise<Cluster[]>;
}

export class Feed {
  private isWatching = false;
  private isAsking = false;
  private isAskedAgain = false;
  private failures = 0;
  private timer: unknown = null;

  constructor(
    private readonly source: ClusterSource,
    private readonly list: ClusterList,
    private readonly clock: Clock
  ) {}

  /** Somebody looks from now on, or nobody any more. */
  setWatching(isWatching: boolean): void {
    if (this.isWatching === isWatching) {
      return;
    }
    this.isWatching = isWatching;
    this.cancel();
    if (isWatching) {
      void this.refresh();
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
    } else if (this.isWatching) {
      this.timer = this.clock.setTimeout(() => void this.refresh(), delayMs);
    }
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
