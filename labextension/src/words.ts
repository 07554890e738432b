/**
 * How a cluster is put into words, and into code. Pure: what is shown is decided here and drawn elsewhere.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Cluster, ClusterState } from './restapi';
import type { PaneKind } from './tokens';

/** A state's sign, so that it is never told by colour alone; hidden from screen readers, which read the word. */
export const SIGNS: Readonly<Record<ClusterState, string>> = {
  starting: '◔',
  running: '●',
  stopping: '◑',
  failed: '✕',
  lost: '?'
};

export function stateWord(state: ClusterState, trans: TranslationBundle): string {
  switch (state) {
    case 'starting':
      return trans.__('starting');
    case 'running':
      return trans.__('running');
    case 'stopping':
      return trans.__('stopping');
    case 'failed':
      return trans.__('failed');
    case 'lost':
      return trans.__('lost');
  }
}

/** "2/2 workers · 4 cores · 1.5 GiB" */
export function sizeWords(cluster: Cluster, trans: TranslationBundle): string {
  const parts = [
    trans.__('%1/%2 workers', cluster.workers, cluster.wanted),
    trans._n('%1 core', '%1 cores', cluster.cores)
  ];
  if (cluster.memory_bytes > 0) {
    parts.push(bytesWords(cluster.memory_bytes));
  }
  return parts.join(' · ');
}

/** "3 running · 12 queued · 1 erred" */
export function taskWords(cluster: Cluster, trans: TranslationBundle): string {
  const of = (state: string): number => cluster.counts[state] ?? 0;
  return [
    trans.__('%1 running', cluster.running),
    trans.__('%1 queued', of('queued') + of('waiting') + of('processing') - cluster.running),
    trans.__('%1 erred', of('erred'))
  ].join(' · ');
}

/** "workers 1/2, 3 s" while it starts; else why it is as it is. */
export function progressWords(cluster: Cluster, nowMs: number, trans: TranslationBundle): string {
  if (cluster.state === 'starting') {
    const phase = cluster.phase || trans.__('starting');
    const sinceHeardS = Math.max(0, nowMs - cluster.heardAtMs) / 1000;
    return trans.__('%1, %2 s', phase, Math.round(cluster.elapsed_s + sinceHeardS));
  }
  return cluster.reason;
}

/** "4 workers · 12 running · 1 error", of all clusters together; empty when there is none. */
export function statusWords(clusters: readonly Cluster[], trans: TranslationBundle): string {
  const running = clusters.filter(cluster => cluster.state === 'running');
  const sum = (of: (cluster: Cluster) => number): number =>
    running.reduce((total, cluster) => total + of(cluster), 0);
  const errors = sum(cluster => cluster.counts.erred ?? 0);
  const parts = [
    trans._n(
      '%1 worker',
      '%1 workers',
      sum(cluster => cluster.workers)
    ),
    trans.__(
      '%1 running',
      sum(cluster => cluster.running)
    )
  ];
  if (errors > 0) {
    parts.push(trans._n('%1 error', '%1 errors', errors));
  }
  return running.length > 0 ? parts.join(' · ') : '';
}

/** What a screen reader says of a cluster. */
export function spokenWords(cluster: Cluster, trans: TranslationBundle): string {
  return `${cluster.name}, ${stateWord(cluster.state, trans)}, ${sizeWords(cluster, trans)}`;
}

export function bytesWords(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** "as of 14:02:11, retrying in 4 s" */
export function disconnectedWords(
  asOfMs: number,
  retryAtMs: number,
  nowMs: number,
  trans: TranslationBundle
): string {
  const seconds = Math.max(0, Math.ceil((retryAtMs - nowMs) / 1000));
  if (asOfMs === 0) {
    return trans.__('no answer yet, retrying in %1 s', seconds);
  }
  const time = new Date(asOfMs).toTimeString().slice(0, 8);
  return trans.__('as of %1, retrying in %2 s', time, seconds);
}

/** The code that attaches a notebook to a cluster. It holds no secret: the name is enough. */
export function codeFor(name: string): string {
  return `from jupyter_dist import Executor\nexecutor = Executor(${JSON.stringify(name)})`;
}

/** Names the server will take: what can stand in a file name and in a URL. */
export function isGoodName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name);
}

export function paneWord(kind: PaneKind, trans: TranslationBundle): string {
  switch (kind) {
    case 'tasks':
      return trans.__('Tasks');
    case 'stream':
      return trans.__('Task stream');
    case 'workers':
      return trans.__('Workers');
    case 'logs':
      return trans.__('Logs');
  }
}

/** The last part of a path. */
export function shortName(path: string): string {
  return path.split('/').pop() ?? path;
}

/** "12 s", "3 min", "2 h 5 min" */
export function durationWords(seconds: number, trans: TranslationBundle): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return trans.__('%1 s', whole);
  }
  return whole < 3600
    ? trans.__('%1 min', Math.floor(whole / 60))
    : trans.__('%1 h %2 min', Math.floor(whole / 3600), Math.floor((whole % 3600) / 60));
}

/** A worker's state, which the server tells by a word of its own. */
export function workerStateWord(state: string, trans: TranslationBundle): string {
  const words: Readonly<Record<string, string>> = {
    running: trans.__('running'),
    paused: trans.__('paused: short of memory'),
    retiring: trans.__('retiring'),
    silent: trans.__('silent'),
    lost: trans.__('lost')
  };
  return words[state] ?? state;
}

/** The points of a line through values, in a box of a given size; the largest value is at its top. */
export function linePoints(values: readonly number[], width: number, height: number): string {
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values
    .map(
      (value, place) => `${(place * step).toFixed(1)},${(height * (1 - value / most)).toFixed(1)}`
    )
    .join(' ');
}
