import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BACK_OFF_MS_MAX, Feed, INTERVAL_MS } from '../src/feed';
import { ClusterList } from '../src/model';
import type { Cluster } from '../src/restapi';
import { FakeClock, makeCluster, settled } from './fakes';

/** Answers when the test says so. */
class SlowSource {
  readonly waiting: { resolve: (clusters: Cluster[]) => void; reject: (error: Error) => void }[] =
    [];
  asked = 0;

  list(): Promise<Cluster[]> {
    this.asked += 1;
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
  }

  async answer(...clusters: Cluster[]): Promise<void> {
    this.waiting.shift()?.resolve(clusters);
    await settled();
  }

  async fail(): Promise<void> {
    this.waiting.shift()?.reject(new Error('down'));
    await settled();
  }
}

function makeFeed(): { feed: Feed; source: SlowSource; list: ClusterList; clock: FakeClock } {
  const [source, list, clock] = [new SlowSource(), new ClusterList(), new FakeClock()];
  return { feed: new Feed(source, list, clock), source, list, clock };
}

test('asks at once when somebody looks, then every two seconds', async () => {
  const { feed, source, list, clock } = makeFeed();
  feed.setWatching(true);
  assert.equal(source.asked, 1);
  await source.answer(makeCluster());
  assert.equal(list.state.connection, 'connected');
  assert.equal(clock.nextMs, INTERVAL_MS);
  await clock.advance(INTERVAL_MS);
  assert.equal(source.asked, 2);
});

test('asks nothing while nobody looks, and at once when somebody looks again', async () => {
  const { feed, source, clock } = makeFeed();
  assert.equal(source.asked, 0);
  feed.setWatching(true);
  await source.answer();
  feed.setWatching(false);
  assert.equal(clock.nextMs, null);
  feed.setWatching(true);
  assert.equal(source.asked, 2);
});

test('an answer that comes after nobody looks any more asks no further', async () => {
  const { feed, source, clock } = makeFeed();
  feed.setWatching(true);
  feed.setWatching(false);
  await source.answer();
  assert.equal(clock.nextMs, null);
});

test('waits longer after each failure, up to a limit, and starts over after an answer', async () => {
  const { feed, source, list, clock } = makeFeed();
  feed.setWatching(true);
  const waits: (number | null)[] = [];
  for (let failure = 0; failure < 7; failure += 1) {
    await source.fail();
    waits.push(clock.nextMs);
    await clock.advance(clock.nextMs ?? 0);
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16000, BACK_OFF_MS_MAX, BACK_OFF_MS_MAX]);
  assert.equal(list.state.connection, 'disconnected');
  await source.answer();
  assert.equal(list.state.connection, 'connected');
  assert.equal(clock.nextMs, INTERVAL_MS);
});

test('says when it asks again', async () => {
  const { feed, source, list, clock } = makeFeed();
  feed.setWatching(true);
  await source.fail();
  assert.equal(list.state.retryAtMs, clock.now() + 1000);
});

test('a refresh while a question is under way asks once more afterwards, not at once', async () => {
  const { feed, source } = makeFeed();
  feed.setWatching(true);
  void feed.refresh();
  void feed.refresh();
  assert.equal(source.asked, 1);
  await source.answer();
  assert.equal(source.asked, 2);
  await source.answer();
  assert.equal(source.asked, 2);
});

test('a refresh while nobody looks asks once', async () => {
  const { feed, source, clock } = makeFeed();
  void feed.refresh();
  await source.answer();
  assert.equal(source.asked, 1);
  assert.equal(clock.nextMs, null);
});
