/**
 * What the sidebar knows, and nothing of how it was learned: the clusters, and how far they can be trusted.
 *
 * It is changed through five doors: `listed`, `changedTo`, `replaced`, `removed`, `failed`. Each makes a new state and emits
 * `changed` only when something that can be seen is different, so nothing is drawn again for nothing. Times are
 * arguments, in milliseconds.
 */
import { type ISignal, Signal } from '@lumino/signaling';

import { ApiError, type Cluster } from './restapi';

/**
 * - connecting: nothing was heard yet
 * - connected: what is shown is true now
 * - disconnected: the server does not answer; what is shown was true at `asOfMs`
 * - missing: the server answers, but does not know of clusters: its extension is not enabled
 */
export type Connection = 'connecting' | 'connected' | 'disconnected' | 'missing';

export interface ListState {
  readonly connection: Connection;
  readonly clusters: readonly Cluster[];
  readonly asOfMs: number; // when the clusters were last true, 0 for never
  readonly retryAtMs: number; // when the server is asked again, while it does not answer
  readonly reason: string; // why it did not answer
}

const INITIAL: ListState = {
  connection: 'connecting',
  clusters: [],
  asOfMs: 0,
  retryAtMs: 0,
  reason: ''
};

export class ClusterList {
  private _state = INITIAL;
  private readonly _changed = new Signal<this, void>(this);

  get state(): ListState {
    return this._state;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The server sent all clusters. */
  listed(clusters: readonly Cluster[], nowMs: number): void {
    const inOrder = [...clusters].sort((a, b) => a.name.localeCompare(b.name));
    this.become({
      connection: 'connected',
      clusters: inOrder,
      asOfMs: nowMs,
      retryAtMs: 0,
      reason: ''
    });
  }

  /** The server answered an action with the cluster as it is now. */
  replaced(cluster: Cluster): void {
    const others = this._state.clusters.filter(other => other.name !== cluster.name);
    const inOrder = [...others, cluster].sort((a, b) => a.name.localeCompare(b.name));
    this.become({ ...this._state, clusters: inOrder });
  }

  /** The server has stopped a cluster. */
  removed(name: string): void {
    const others = this._state.clusters.filter(other => other.name !== name);
    this.become({ ...this._state, clusters: others });
  }

  /** The server told what became different. */
  changedTo(changed: readonly Cluster[], removed: readonly string[], nowMs: number): void {
    const gone = new Set([...removed, ...changed.map(cluster => cluster.name)]);
    const others = this._state.clusters.filter(cluster => !gone.has(cluster.name));
    this.listed([...others, ...changed], nowMs);
  }

  /** The list could not be had. What was known stays, and is marked as old. */
  failed(error: unknown, retryAtMs: number): void {
    const missing = error instanceof ApiError && error.status === 404;
    this.become({
      ...this._state,
      connection: missing ? 'missing' : 'disconnected',
      clusters: missing ? [] : this._state.clusters,
      retryAtMs,
      reason: error instanceof Error ? error.message : String(error)
    });
  }

  private become(next: ListState): void {
    const before = this._state;
    this._state = next;
    if (!isSameToSee(before, next)) {
      this._changed.emit();
    }
  }
}

/** While connected nobody sees `asOfMs`, nor how long a cluster has been up: both change with every answer. */
function isSameToSee(a: ListState, b: ListState): boolean {
  return seen(a) === seen(b);
}

function seen(state: ListState): string {
  return JSON.stringify({
    ...state,
    asOfMs: state.connection === 'connected' ? 0 : state.asOfMs,
    clusters: state.clusters.map(cluster =>
      cluster.state === 'starting' ? cluster : { ...cluster, elapsed_s: 0, heardAtMs: 0 }
    )
  });
}
