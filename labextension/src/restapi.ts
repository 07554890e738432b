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
  readonly counts: Readonly<Record<string, number>>;
  readonly finished: number;
  readonly erred: number;
  readonly sessions: readonly string[];
  readonly started_s: number;
  readonly detached: boolean;
}

/** What a person asks for in the dialog. What is left out, the server decides. */
export interface ClusterRequest {
  name?: string;
  workers?: number;
  threads_per_worker?: number;
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

  private async ask(path: string, method: string, body?: unknown): Promise<unknown> {
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
    counts: counts(value.counts),
    finished: number(value.finished),
    erred: number(value.erred),
    sessions: Array.isArray(value.sessions) ? value.sessions.map(text) : [],
    started_s: number(value.started_s),
    detached: value.detached === true
  };
}

function pathOf(name: string): string {
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

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isState(value: unknown): value is ClusterState {
  return typeof value === 'string' && STATES.includes(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function counts(value: unknown): Record<string, number> {
  const entries = isRecord(value) ? Object.entries(value) : [];
  return Object.fromEntries(entries.map(([state, count]) => [state, number(count)]));
}
