/**
 * What is inside a cluster: workers, functions, tasks, errors, logs. Asked for, or told by the feed; checked here, so that
 * past this file each is what its type says. A field that is missing is empty.
 */
import { type ClusterApi, isRecord, number, pathOf, text } from './restapi';

export interface Worker {
  readonly name: string;
  readonly state: string;
  readonly host: string;
  readonly pid: number;
  readonly slots: number;
  readonly running: number;
  readonly queued: number;
  readonly memoryBytes: number;
  readonly memoryBytesMax: number;
  readonly cpuPercent: number;
  readonly spilledBytes: number;
  readonly heardS: number;
  readonly restarts: number;
  readonly lastDeath: string;
  readonly trouble: string;
}

export interface FunctionCount {
  readonly label: string;
  readonly pending: number;
  readonly processing: number;
  readonly erred: number;
  readonly finished: number;
  readonly seconds: number;
}

export interface Task {
  readonly key: string;
  readonly label: string;
  readonly state: string;
  readonly group: string;
  readonly worker: string;
  readonly slot: number;
  readonly sinceS: number;
  readonly startedS: number;
}

export interface TaskPage {
  readonly tasks: readonly Task[];
  readonly next: number; // 0: there are no more
  readonly total: number;
}

export interface TaskDetail {
  readonly task: Task;
  readonly typeName: string;
  readonly nbytes: number;
  readonly reasons: readonly string[];
  readonly traceback: string;
  readonly output: string;
  readonly outputCut: number;
  readonly wantedBy: readonly string[];
}

/** A cluster's inside at one moment, as the feed tells it. */
export interface Inside {
  readonly atS: number;
  readonly wanted: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly finished: number; // tasks finished, and erred, since the start
  readonly erred: number;
  readonly workers: readonly Worker[];
  readonly functions: readonly FunctionCount[];
  readonly running: readonly Task[];
}

/** Something that happened, as the feed tells it. */
export interface TaskEvent {
  readonly number: number;
  readonly kind: string;
  readonly atS: number;
  readonly key: string;
  readonly label: string;
  readonly group: string;
  readonly worker: string;
  readonly slot: number;
  readonly startedS: number;
  readonly stoppedS: number;
  readonly detail: string;
}

export const TASK_STATES = ['waiting', 'queued', 'processing', 'memory', 'erred'] as const;

export class PartsApi {
  constructor(private readonly api: Pick<ClusterApi, 'ask'>) {}

  async restartWorker(cluster: string, worker: string): Promise<void> {
    await this.api.ask(`${workerPath(cluster, worker)}/restart`, 'POST', {});
  }

  async retireWorker(cluster: string, worker: string): Promise<void> {
    await this.api.ask(workerPath(cluster, worker), 'DELETE');
  }

  /** The end of what a worker, the scheduler or the nanny printed. */
  async log(cluster: string, process: string): Promise<string> {
    const answer = await this.api.ask(`${workerPath(cluster, process)}/log?lines=500`, 'GET');
    return isRecord(answer) ? text(answer.log) : '';
  }

  async tasks(
    cluster: string,
    asked: { state: string; text: string; before: number }
  ): Promise<TaskPage> {
    const query = new URLSearchParams({
      state: asked.state,
      text: asked.text,
      before: String(asked.before),
      count: '100'
    });
    const answer = await this.api.ask(`${pathOf(cluster)}/tasks?${query.toString()}`, 'GET');
    const page = isRecord(answer) ? answer : {};
    return {
      tasks: records(page.tasks).map(toTask),
      next: number(page.next),
      total: number(page.total)
    };
  }

  async task(cluster: string, key: string): Promise<TaskDetail> {
    const answer = await this.api.ask(`${pathOf(cluster)}/tasks/${encodeURIComponent(key)}`, 'GET');
    const detail = isRecord(answer) ? answer : {};
    const error = isRecord(detail.error) ? detail.error : {};
    return {
      task: toTask(isRecord(detail.task) ? detail.task : {}),
      typeName: text(detail.type_name),
      nbytes: number(detail.nbytes),
      reasons: texts(detail.reasons),
      traceback: text(error.traceback) || text(error.text),
      output: text(detail.output),
      outputCut: number(detail.output_cut),
      wantedBy: texts(detail.wanted_by)
    };
  }

  async cancel(cluster: string, keys: readonly string[], force: boolean): Promise<number> {
    return count(await this.api.ask(`${pathOf(cluster)}/cancel`, 'POST', { keys, force }));
  }

  async retry(cluster: string, keys: readonly string[]): Promise<number> {
    return count(await this.api.ask(`${pathOf(cluster)}/retry`, 'POST', { keys }));
  }
}

export function toInside(value: unknown): Inside | null {
  if (!isRecord(value)) {
    return null;
  }
  const counts = isRecord(value.counts) ? Object.entries(value.counts) : [];
  return {
    atS: number(value.at_s),
    wanted: number(value.wanted),
    counts: Object.fromEntries(counts.map(([state, amount]) => [state, number(amount)])),
    finished: number(value.finished),
    erred: number(value.erred),
    workers: records(value.workers).map(toWorker),
    functions: records(value.functions).map(toFunction),
    running: records(value.running).map(toTask)
  };
}

/** An event comes as a row: the fields in the order of the scheduler's own record. */
export function toEvents(value: unknown): TaskEvent[] {
  const rows = Array.isArray(value) ? value.filter(Array.isArray) : [];
  return rows.map((row: unknown[]) => ({
    number: number(row[0]),
    kind: text(row[1]),
    atS: number(row[2]),
    key: text(row[3]),
    label: text(row[4]),
    group: text(row[5]),
    worker: text(row[6]),
    slot: number(row[7]),
    startedS: number(row[8]),
    stoppedS: number(row[9]),
    detail: text(row[11])
  }));
}

function toWorker(value: Record<string, unknown>): Worker {
  return {
    name: text(value.name),
    state: text(value.state),
    host: text(value.host),
    pid: number(value.pid),
    slots: number(value.slots),
    running: number(value.running),
    queued: number(value.queued),
    memoryBytes: number(value.memory_bytes),
    memoryBytesMax: number(value.memory_bytes_max),
    cpuPercent: number(value.cpu_percent),
    spilledBytes: number(value.spilled_bytes),
    heardS: number(value.heard_s),
    restarts: number(value.restarts),
    lastDeath: text(value.last_death),
    trouble: text(value.trouble)
  };
}

function toFunction(value: Record<string, unknown>): FunctionCount {
  return {
    label: text(value.label),
    pending: number(value.waiting) + number(value.queued),
    processing: number(value.processing),
    erred: number(value.erred),
    finished: number(value.finished),
    seconds: number(value.seconds)
  };
}

function toTask(value: Record<string, unknown>): Task {
  return {
    key: text(value.key),
    label: text(value.label),
    state: text(value.state),
    group: text(value.group),
    worker: text(value.worker),
    slot: number(value.slot),
    sinceS: number(value.since_s),
    startedS: number(value.started_s)
  };
}

function workerPath(cluster: string, worker: string): string {
  return `${pathOf(cluster)}/workers/${encodeURIComponent(worker)}`;
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function count(answer: unknown): number {
  return isRecord(answer) && Array.isArray(answer.keys) ? answer.keys.length : 0;
}
