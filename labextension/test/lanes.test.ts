import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BARS_MAX, COLOURS, Lanes, barAt, colourOf } from '../src/lanes';
import { type Task, type TaskEvent, toEvents } from '../src/parts';

function event(number: number, fields: Partial<TaskEvent> = {}): TaskEvent {
  const [base] = toEvents([
    [number, 'finished', 3, `k${number}`, 'fit', '', 'worker-0', 0, 1, 3, 0, '']
  ]);
  return { ...base, ...fields };
}

const RUNNING: Task = {
  key: 'r',
  label: 'fit',
  state: 'processing',
  group: '',
  worker: 'worker-0',
  slot: 1,
  sinceS: 5,
  startedS: 6
};

test('ended runs are bars in the lane of their slot, and deaths are marks', () => {
  const lanes = new Lanes();
  lanes.add([event(1), event(2, { kind: 'failed', slot: 1 }), event(3, { kind: 'erred' })], 0);
  lanes.add([event(4, { kind: 'worker-lost', detail: 'killed' })], 2);
  assert.deepEqual(
    lanes.bars.map(({ lane, kind }) => [lane, kind]),
    [
      ['worker-0.0', 'finished'],
      ['worker-0.1', 'failed']
    ]
  );
  assert.deepEqual(
    lanes.marks.map(({ words }) => words),
    ['worker-lost worker-0 killed']
  );
  assert.equal(lanes.skipped, 2);
});

test('running bars grow with the time, and are no bars any more when they ended', () => {
  const lanes = new Lanes();
  lanes.setRunning([{ name: 'worker-0', slots: 2 }], [RUNNING, { ...RUNNING, startedS: 0 }]);
  assert.deepEqual(
    lanes.barsAt(9).map(({ startedS, stoppedS, kind }) => [startedS, stoppedS, kind]),
    [[6, 9, 'running']]
  );
  lanes.setRunning([{ name: 'worker-0', slots: 2 }], []);
  assert.deepEqual(lanes.barsAt(9), []);
});

test('lanes are there before anything ran, in the order of numbers, also of workers that are gone', () => {
  const lanes = new Lanes();
  lanes.setRunning(
    [
      { name: 'worker-10', slots: 1 },
      { name: 'worker-2', slots: 1 }
    ],
    []
  );
  lanes.add([event(1, { worker: 'worker-7' })], 0);
  assert.deepEqual(lanes.lanes, ['worker-2.0', 'worker-7.0', 'worker-10.0']);
});

test('what ended before the window is forgotten, and never more is kept than can be drawn', () => {
  const lanes = new Lanes();
  const events = Array.from({ length: BARS_MAX + 10 }, (_, n) => event(n, { stoppedS: n }));
  lanes.add(events, 0);
  assert.equal(lanes.bars.length, BARS_MAX);
  lanes.forgetBefore(BARS_MAX);
  assert.equal(lanes.bars.length, 10);
  lanes.clear();
  assert.equal(lanes.bars.length, 0);
});

test('a bar is found by its place, the later one first', () => {
  const lanes = new Lanes();
  lanes.add([event(1), event(2, { startedS: 2, stoppedS: 4 })], 0);
  const bars = lanes.barsAt(9);
  assert.equal(barAt(bars, 'worker-0.0', 2.5)?.key, 'k2');
  assert.equal(barAt(bars, 'worker-0.0', 1.5)?.key, 'k1');
  assert.equal(barAt(bars, 'worker-0.1', 1.5), undefined);
});

test('a function has the same colour in every session', () => {
  assert.equal(colourOf('fit'), colourOf('fit'));
  assert.ok(COLOURS.includes(colourOf('größe')));
});
