import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as words from '../src/words';
import { english, makeCluster } from './fakes';

test('sizes and tasks are told with their units', () => {
  const cluster = makeCluster({
    workers: 1,
    wanted: 2,
    cores: 4,
    memory_bytes: 1.5 * 1024 ** 3,
    running: 3,
    counts: { processing: 5, queued: 10, waiting: 2, erred: 1 }
  });
  assert.equal(words.sizeWords(cluster, english), '1/2 workers · 4 cores · 1.5 GiB');
  assert.equal(words.taskWords(cluster, english), '3 running · 14 queued · 1 erred');
});

test('a starting cluster tells its phase and how long it takes', () => {
  const cluster = makeCluster({ state: 'starting', phase: 'workers 1/2', elapsed_s: 2.7 });
  assert.equal(words.progressWords(cluster, cluster.heardAtMs + 4000, english), 'workers 1/2, 7 s');
});

test('a failed cluster tells its reason', () => {
  const cluster = makeCluster({ state: 'failed', reason: 'exit code 1' });
  assert.equal(words.progressWords(cluster, 0, english), 'exit code 1');
});

test('every state has a sign and a word of its own', () => {
  const states = ['starting', 'running', 'stopping', 'failed', 'lost'] as const;
  assert.equal(new Set(states.map(state => words.SIGNS[state])).size, states.length);
  assert.equal(new Set(states.map(state => words.stateWord(state, english))).size, states.length);
});

test('disconnected words count down and never below zero', () => {
  const asOf = new Date(2026, 0, 2, 14, 2, 11).getTime();
  assert.equal(
    words.disconnectedWords(asOf, 5000, 1200, english),
    'as of 14:02:11, retrying in 4 s'
  );
  assert.equal(words.disconnectedWords(0, 0, 1200, english), 'no answer yet, retrying in 0 s');
});

test('bytes are told in the unit that fits', () => {
  assert.deepEqual([0, 1023, 2048, 300 * 1024 ** 2].map(words.bytesWords), [
    '0 B',
    '1023 B',
    '2.0 KiB',
    '300 MiB'
  ]);
});

test('the code to attach is two lines and quotes the name', () => {
  assert.equal(
    words.codeFor('my "x"'),
    'from jupyter_dist import Executor\nexecutor = Executor("my \\"x\\"")'
  );
});

test('names that cannot be file names are refused', () => {
  assert.ok(words.isGoodName('fit-2.b_1'));
  for (const name of ['', '../x', 'a b', '-x', 'x'.repeat(65)]) {
    assert.equal(words.isGoodName(name), false, name);
  }
});

test('the status tells all running clusters together, and errors only when there are any', () => {
  const busy = makeCluster({ workers: 3, running: 12, counts: { erred: 1 } });
  const idle = makeCluster({ name: 'idle', workers: 1 });
  const failed = makeCluster({ name: 'x', state: 'failed', workers: 9 });
  assert.equal(
    words.statusWords([busy, idle, failed], english),
    '4 workers · 12 running · 1 error'
  );
  assert.equal(words.statusWords([idle], english), '1 worker · 0 running');
  assert.equal(words.statusWords([failed], english), '');
});

test('a line through values stands on its box and touches its top', () => {
  assert.equal(words.linePoints([0, 5, 10], 20, 10), '0.0,10.0 10.0,5.0 20.0,0.0');
  assert.equal(words.linePoints([], 20, 10), '');
  assert.equal(words.linePoints([0], 20, 10), '0.0,10.0');
});

test('durations are told in the unit that fits', () => {
  assert.deepEqual(
    [-1, 12.4, 200, 7500].map(seconds => words.durationWords(seconds, english)),
    ['0 s', '12 s', '3 min', '2 h 5 min']
  );
});

test('a worker’s state is a word, also one that is not known here', () => {
  assert.equal(words.workerStateWord('silent', english), 'silent');
  assert.equal(words.workerStateWord('dancing', english), 'dancing');
});
