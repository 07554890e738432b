/**
 * The REST client: one method for each thing the server can be asked, and nothing that remembers.
 *
 * It knows no Jupyter: a `Requester` makes the requests, so tests hand in a fake. What the server answers is checked
 * here; past this file a `Cluster` is what its type says.
 */

export const API_PATH = 'jupyter_dist/api/v1';

export type ClusterState = 'starting' | 'running' | 'stopping' | 'failed' | 'lost';

const STATES: readonly string[] = ['starting', 'running', 'stopping', 'failed', 'lost'];

/** A cluster, in the server's words: units come last, `workers` are alive and `wanted` were asked for. */
export interface Cluster {
  readonly name: string;
  readonly id: string;
  readonly state: ClusterState;
  readonly phase: string;
  readonly elapsed_s: number;
  readonly reason: string;
  readonly log: string;
  readonly workers: number;
  readonly wanted: number;
  readonly cores: number;
  readonly memory_bytes: number;
  readonly running: number; // tasks that have a slot now
  readonly counts: Readonly<Record<string, number>>;
  readonly finished: number;
  readonly erred: number;
  readonly sessions: readonly string[];
  readonly started_s: number;
  readonly detached: boolean;
  readonly adapting: Bounds | null; // null: it keeps the number it was told
  readonly trouble: string;
  readonly losses: readonly Loss[]; // the last workers that died
  readonly heardAtMs: number; // when this page learned it
}

/** Between how many workers a cluster scales itself. */
export interface Bounds {
  readonly minimum: number;
  readonly maximum: number;
}

/** A worker that died. The number grows with each. */
export interface Loss {
  readonly number: number;
  readonly worker: string;
  readonly reason: string;
}

/** What a person asks for in the dialog. What is left out, the server decides. */
export interface ClusterRequest {
  name?: string;
  workers?: number;
  threads_per_worker?: number;
  profile?: string;
  memory_limit?: string;
}

/** A kind of cluster that was prepared for the dialog. */
export interface Profile {
  readonly name: string;
  readonly label: string;
  readonly description: string;
  readonly workers: number; // 0: one for each core
}

export interface Reply {
  readonly status: number;
  readonly text: string;
}

/** Makes one request below the Jupyter server's base URL. Rejects only when there is no answer at all. */
export type Requester = (path: string, method: string, body?: string) => Promise<Reply>;

/** The server answered, and the answer is no (or makes no sense). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export class ClusterApi {
  constructor(private readonly request: Requester) {}

  /** All clusters of this user. The server does not take it for a person's activity. */
  async list(): Promise<Cluster[]> {
    const answer = await this.ask('clusters?no_track_activity=1', 'GET');
    const clusters = isRecord(answer) ? answer.clusters : undefined;
    if (!Array.isArray(clusters)) {
      throw new ApiError(200, 'The server sent no list of clusters.');
    }
    return clusters.map(toCluster);
  }

  async create(wish: ClusterRequest): Promise<Cluster> {
    return toCluster(await this.ask('clusters', 'POST', wish));
  }

  async scale(name: string, workers: number): Promise<Cluster> {
    return toCluster(await this.ask(pathOf(name), 'PATCH', { workers }));
  }

  /** Have it scale itself within bounds; null ends that. */
  async adapt(name: string, adapt: Bounds | null): Promise<Cluster> {
    return toCluster(await this.ask(pathOf(name), 'PATCH', { adapt }));
  }

  async profiles(): Promise<Profile[]> {
    const answer = await this.ask('profiles', 'GET');
    const profiles = isRecord(answer) && Array.isArray(answer.profiles) ? answer.profiles : [];
    return profiles.filter(isRecord).map(profile => ({
      name: text(profile.name),
      label: text(profile.label) || text(profile.name),
      description: text(profile.description),
      workers: number(profile.workers)
    }));
  }

  /** Which notebooks use which cluster, as paths by the cluster's name. */
  async notebooks(): Promise<Map<string, string[]>> {
    const answer = await this.ask('notebooks', 'GET');
    const found = isRecord(answer) && Array.isArray(answer.notebooks) ? answer.notebooks : [];
    const paths = new Map<string, string[]>();
    for (const notebook of found.filter(isRecord)) {
      const cluster = text(notebook.cluster);
      paths.set(cluster, [...(paths.get(cluster) ?? []), text(notebook.path)]);
    }
    return paths;
  }

  async restart(name: string): Promise<Cluster> {
    return toCluster(await this.ask(`${pathOf(name)}/restart`, 'POST', {}));
  }

  async stop(name: string): Promise<void> {
    await this.ask(pathOf(name), 'DELETE');
  }

  async log(name: string): Promise<string> {
    const answer = await this.ask(`${pathOf(name)}/log`, 'GET');
    return isRecord(answer) && typeof answer.log === 'string' ? answer.log : '';
  }

  /** Ask anything below the interface's path; throws `ApiError` when the answer is no. */
  async ask(path: string, method: string, body?: unknown): Promise<unknown> {
    const reply = await this.request(
      `${API_PATH}/${path}`,
      method,
      body === undefined ? undefined : JSON.stringify(body)
    );
    const answer = parse(reply.text);
    if (reply.status >= 400) {
      throw new ApiError(reply.status, messageOf(answer) || `The server answered ${reply.status}.`);
    }
    return answer;
  }
}

/** Check a cluster the server sent. Fields of an older or newer server may be missing; its name and state may not. */
export function toCluster(value: unknown): Cluster {
  if (!isRecord(value) || typeof value.name !== 'string' || !isState(value.state)) {
    throw new ApiError(200, 'The server sent a cluster this extension does not understand.');
  }
  return {
    name: value.name,
    id: text(value.id),
    state: value.state,
    phase: text(value.phase),
    elapsed_s: number(value.elapsed_s),
    reason: text(value.reason),
    log: text(value.log),
    workers: number(value.workers),
    wanted: number(value.wanted),
    cores: number(value.cores),
    memory_bytes: number(value.memory_bytes),
    running: number(value.running),
    counts: counts(value.counts),
    finished: number(value.finished),
    erred: number(value.erred),
    sessions: Array.isArray(value.sessions) ? value.sessions.map(text) : [],
    started_s: number(value.started_s),
    detached: value.detached === true,
    adapting: bounds(value.adapting),
    trouble: text(value.trouble),
    losses: Array.isArray(value.losses) ? value.losses.filter(isRecord).map(toLoss) : [],
    heardAtMs: Date.now()
  };
}

function bounds(value: unknown): Bounds | null {
  return isRecord(value)
    ? { minimum: number(value.minimum), maximum: number(value.maximum) }
    : null;
}

function toLoss(value: Record<string, unknown>): Loss {
  return { number: number(value.number), worker: text(value.worker), reason: text(value.reason) };
}

export function pathOf(name: string): string {
  return `clusters/${encodeURIComponent(name)}`;
}

function parse(body: string): unknown {
  try {
    return body ? JSON.parse(body) : undefined;
  } catch {
    return undefined; // a proxy's HTML page: the status says enough
  }
}

function messageOf(answer: unknown): string {
  return isRecord(answer) ? text(answer.message) : '';
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isState(value: unknown): value is ClusterState {
  return typeof value === 'string' && STATES.includes(value);
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

export function counts(value: unknown): Record<string, number> {
  const entries = isRecord(value) ? Object.entries(value) : [];
  return Object.fromEntries(entries.map(([state, count]) => [state, number(count)]));
}
