import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Feed, INTERVAL_MS } from '../src/feed';
import { ClusterList } from '../src/model';
import { BACK_OFF_MS_MAX, FeedSocket, type SocketLike, type Told } from '../src/socket';
import { FakeClock, makeCluster, settled } from './fakes';

class FakeSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  readonly said: Record<string, unknown>[] = [];
  isClosed = false;

  send(text: string): void {
    this.said.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.isClosed = true;
    this.onclose?.({} as CloseEvent);
  }

  tell(told: Record<string, unknown>): void {
    this.hear(JSON.stringify(told));
  }

  hear(data: string): void {
    this.onmessage?.({ data } as MessageEvent);
  }

  open(): void {
    this.onopen?.({} as Event);
  }

  lose(): void {
    this.onclose?.({} as CloseEvent);
  }
}

function makeFeed(): {
  feed: FeedSocket;
  sockets: FakeSocket[];
  clock: FakeClock;
  latest: () => FakeSocket;
} {
  const [sockets, clock]: [FakeSocket[], FakeClock] = [[], new FakeClock()];
  const feed = new FeedSocket(() => {
    sockets.push(new FakeSocket());
    return sockets[sockets.length - 1];
  }, clock);
  return { feed, sockets, clock, latest: () => sockets[sockets.length - 1] };
}

function told(kind: string, from: number, number: number, fields = {}): Record<string, unknown> {
  return { topic: 'clusters', kind, epoch: 'e', from, number, ...fields };
}

test('no socket is made before something is watched, and it is closed with the last topic', () => {
  const { feed, sockets, latest } = makeFeed();
  assert.equal(sockets.length, 0);
  const unwatch = feed.watch('clusters', 1, { told: () => undefined });
  assert.equal(sockets.length, 1);
  latest().open();
  assert.deepEqual(latest().said, [{ watch: 'clusters', interval_s: 1, epoch: '', after: 0 }]);
  unwatch();
  assert.deepEqual(latest().said[1], { unwatch: 'clusters' });
  assert.ok(latest().isClosed);
});

test('what comes in order is told, and after a break the server is told what is known', async () => {
  const { feed, sockets, clock, latest } = makeFeed();
  const heard: Told[] = [];
  const lost: number[] = [];
  feed.watch('clusters', 2, { told: told => heard.push(told), lost: atMs => lost.push(atMs) });
  latest().open();
  latest().tell(told('snapshot', 0, 3));
  latest().tell(told('delta', 3, 5));
  assert.deepEqual(
    heard.map(({ number }) => number),
    [3, 5]
  );
  latest().lose();
  assert.deepEqual(lost, [clock.now() + 1000]);
  await clock.advance(1000);
  assert.equal(sockets.length, 2);
  latest().open();
  assert.deepEqual(latest().said, [{ watch: 'clusters', interval_s: 2, epoch: 'e', after: 5 }]);
});

test('a message that leaves a gap is not told; what is missing is asked for', () => {
  const { feed, latest } = makeFeed();
  const heard: Told[] = [];
  feed.watch('clusters', 1, { told: told => heard.push(told) });
  latest().open();
  latest().tell(told('snapshot', 0, 3));
  latest().tell(told('delta', 4, 6));
  assert.equal(heard.length, 1);
  assert.deepEqual(latest().said[1], { watch: 'clusters', interval_s: 1, epoch: 'e', after: 3 });
  latest().tell(told('delta', 3, 6));
  assert.equal(heard.length, 2);
});

test('a socket that cannot be made is tried again later and later', async () => {
  const { feed, sockets, clock, latest } = makeFeed();
  feed.watch('clusters', 1, { told: () => undefined });
  const waits: (number | null)[] = [];
  for (let failure = 0; failure < 7; failure += 1) {
    latest().lose();
    waits.push(clock.nextMs);
    await clock.advance(clock.nextMs ?? 0);
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16000, BACK_OFF_MS_MAX, BACK_OFF_MS_MAX]);
  latest().open();
  latest().tell(told('snapshot', 0, 1));
  latest().lose();
  assert.equal(clock.nextMs, 1000);
  assert.equal(sockets.length, 8);
});

test('nothing is tried again when nobody watches any more', () => {
  const { feed, clock, latest } = makeFeed();
  const unwatch = feed.watch('clusters', 1, { told: () => undefined });
  latest().lose();
  unwatch();
  assert.equal(clock.nextMs, null);
});

test('two listeners of a topic share it at the faster rate, and both begin with everything', () => {
  const { feed, latest } = makeFeed();
  const heard: string[] = [];
  feed.watch('clusters', 2, { told: () => heard.push('a') });
  latest().open();
  latest().tell(told('snapshot', 0, 3));
  const unwatch = feed.watch('clusters', 0.5, { told: () => heard.push('b') });
  assert.deepEqual(latest().said[1], { watch: 'clusters', interval_s: 0.5, epoch: 'e', after: 0 });
  latest().tell(told('snapshot', 0, 3));
  assert.deepEqual(heard, ['a', 'a', 'b']);
  unwatch();
  unwatch();
  assert.deepEqual(latest().said[2], { watch: 'clusters', interval_s: 2, epoch: 'e', after: 3 });
});

test('what is no message, or of no topic that is watched, is passed over', () => {
  const { feed, latest } = makeFeed();
  const heard: Told[] = [];
  feed.watch('clusters', 1, { told: told => heard.push(told) });
  latest().hear('<html>');
  latest().hear('3');
  latest().tell({ topic: 'tasks/x', kind: 'snapshot', epoch: 'e', from: 0, number: 1 });
  assert.deepEqual(heard, []);
});

test('a thousand reconnections leave one socket and no timer', async () => {
  const { feed, sockets, clock, latest } = makeFeed();
  feed.watch('clusters', 1, { told: () => undefined });
  for (let count = 0; count < 1000; count += 1) {
    latest().open();
    latest().tell(told('snapshot', 0, count + 1));
    latest().lose();
    await clock.advance(BACK_OFF_MS_MAX);
  }
  assert.equal(sockets.length, 1001);
  assert.equal(clock.nextMs, null);
});

// -- the list over the socket

function makeListFeed(): {
  feed: Feed;
  list: ClusterList;
  clock: FakeClock;
  latest: () => FakeSocket;
  asked: () => number;
} {
  const { feed: socket, clock, latest } = makeFeed();
  const list = new ClusterList();
  let asked = 0;
  const source = {
    list: () => {
      asked += 1;
      return Promise.resolve([makeCluster({ name: 'asked' })]);
    }
  };
  return { feed: new Feed(source, list, clock, socket), list, clock, latest, asked: () => asked };
}

test('the list is asked for once, and then told by the socket', async () => {
  const { feed, list, clock, latest, asked } = makeListFeed();
  feed.setWatching(true);
  await settled();
  latest().open();
  latest().tell(told('snapshot', 0, 1, { clusters: [makeCluster({ name: 'a' })] }));
  latest().tell(told('delta', 1, 2, { changed: [makeCluster({ name: 'b' })], removed: ['a'] }));
  assert.deepEqual(
    list.state.clusters.map(cluster => cluster.name),
    ['b']
  );
  assert.equal(clock.nextMs, null);
  assert.equal(asked(), 1);
});

test('without a socket the list is asked for again and again, and no longer when one is there', async () => {
  const { feed, list, clock, latest, asked } = makeListFeed();
  feed.setWatching(true);
  await settled();
  latest().open();
  latest().tell(told('snapshot', 0, 1, { clusters: [] }));
  latest().lose();
  await settled();
  assert.equal(asked(), 2);
  assert.equal(list.state.clusters[0].name, 'asked');
  await clock.advance(INTERVAL_MS);
  assert.equal(asked(), 3);
  latest().open();
  latest().tell(told('delta', 1, 2, { changed: [], removed: ['asked'] }));
  assert.equal(clock.nextMs, null);
});

test('the list is watched as long as one of several looks', async () => {
  const { feed, latest } = makeListFeed();
  feed.setWatching(true, 'sidebar');
  feed.setWatching(true, 'status');
  await settled();
  feed.setWatching(false, 'sidebar');
  assert.equal(latest().isClosed, false);
  feed.setWatching(false, 'status');
  assert.ok(latest().isClosed);
});
