/**
 * The feed: one WebSocket for everything this page watches. It is open while something is watched, and made anew 1, 2, 4
 * … 30 seconds after it was lost.
 *
 * Each topic remembers the epoch and the number of what it was told, so that after a break, or when a message is missing,
 * the server tells what is new and nothing twice. Sockets and clocks are handed in, so tests play both.
 */
import type { Clock } from './feed';

export const BACK_OFF_MS_MIN = 1000;
export const BACK_OFF_MS_MAX = 30000;

/** What is needed of a browser's WebSocket. */
export interface SocketLike {
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onclose: ((event: CloseEvent) => unknown) | null;
  send(text: string): void;
  close(): void;
}

/** What the server says of a topic. The other fields are the topic's own. */
export interface Told {
  readonly topic: string;
  readonly kind: 'snapshot' | 'delta' | 'trouble' | 'error';
  readonly [field: string]: unknown;
}

export interface Listener {
  told(told: Told): void;
  /** The connection is lost; it is tried again at that time. */
  lost?(retryAtMs: number): void;
}

class Topic {
  epoch = '';
  number = 0;
  readonly listeners = new Map<Listener, number>();

  constructor(readonly name: string) {}

  get intervalS(): number {
    return Math.min(...this.listeners.values());
  }
}

export class FeedSocket {
  private socket: SocketLike | null = null;
  private isOpen = false;
  private failures = 0;
  private timer: unknown = null;
  private readonly topics = new Map<string, Topic>();

  constructor(
    private readonly connect: () => SocketLike,
    private readonly clock: Clock
  ) {}

  /** Be told of a topic from now on; what is returned ends that. */
  watch(name: string, intervalS: number, listener: Listener): () => void {
    const known = this.topics.get(name);
    const topic = known ?? new Topic(name);
    topic.listeners.set(listener, intervalS);
    this.topics.set(name, topic);
    if (known) {
      topic.number = 0; // a listener more begins with all there is
    }
    this.sayWatch(topic);
    this.open();
    return () => {
      this.unwatch(topic, listener);
    };
  }

  private unwatch(topic: Topic, listener: Listener): void {
    if (!topic.listeners.delete(listener)) {
      return;
    }
    if (topic.listeners.size === 0) {
      this.topics.delete(topic.name);
      this.say({ unwatch: topic.name });
    } else {
      this.sayWatch(topic);
    }
    if (this.topics.size === 0) {
      this.close();
    }
  }

  private open(): void {
    if (this.socket !== null || this.timer !== null) {
      return;
    }
    const socket = this.connect();
    this.socket = socket;
    socket.onopen = () => {
      this.isOpen = true;
      for (const topic of this.topics.values()) {
        this.sayWatch(topic);
      }
    };
    socket.onmessage = event => {
      this.hear(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) {
        this.onLost();
      }
    };
  }

  private close(): void {
    if (this.timer !== null) {
      this.clock.clearTimeout(this.timer);
      this.timer = null;
    }
    const { socket } = this;
    this.socket = null;
    this.isOpen = false;
    socket?.close();
  }

  private onLost(): void {
    this.socket = null;
    this.isOpen = false;
    const delayMs = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS_MIN * 2 ** this.failures);
    this.failures += 1;
    this.timer = this.clock.setTimeout(() => {
      this.timer = null;
      this.open();
    }, delayMs);
    const retryAtMs = this.clock.now() + delayMs;
    for (const topic of [...this.topics.values()]) {
      for (const listener of [...topic.listeners.keys()]) {
        listener.lost?.(retryAtMs);
      }
    }
  }

  private hear(data: unknown): void {
    const told = parse(data);
    const topic = told && this.topics.get(told.topic);
    if (!told || !topic) {
      return;
    }
    this.failures = 0;
    if (told.kind === 'snapshot' || told.kind === 'delta') {
      const isNext = told.epoch === topic.epoch && told.from === topic.number;
      if (told.kind === 'delta' && !isNext) {
        this.sayWatch(topic); // something is missing: ask for what came after what is known
        return;
      }
      topic.epoch = String(told.epoch);
      topic.number = Number(told.number);
    }
    for (const listener of [...topic.listeners.keys()]) {
      listener.told(told);
    }
  }

  private sayWatch(topic: Topic): void {
    this.say({
      watch: topic.name,
      interval_s: topic.intervalS,
      epoch: topic.epoch,
      after: topic.number
    });
  }

  private say(words: Record<string, unknown>): void {
    if (this.isOpen) {
      this.socket?.send(JSON.stringify(words));
    }
  }
}

function parse(data: unknown): Told | null {
  try {
    const told: unknown = JSON.parse(String(data));
    const isTold = typeof told === 'object' && told !== null && 'topic' in told && 'kind' in told;
    return isTold ? (told as Told) : null;
  } catch {
    return null;
  }
}
