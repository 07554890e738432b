import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Losses } from '../src/losses';
import { makeCluster } from './fakes';

function loss(number: number): { number: number; worker: string; reason: string } {
  return { number, worker: `worker-${number}`, reason: 'killed by SIGSEGV' };
}

test('a worker that dies while the page looks is told once, earlier ones are not', () => {
  const losses = new Losses();
  assert.deepEqual(losses.of([makeCluster({ id: 'x', losses: [loss(4)] })]), []);
  const [told, ...others] = losses.of([makeCluster({ id: 'x', losses: [loss(4), loss(9)] })]);
  assert.deepEqual([told.worker, told.cluster, others.length], ['worker-9', 'default', 0]);
  assert.deepEqual(losses.of([makeCluster({ id: 'x', losses: [loss(9)] })]), []);
});

test('a cluster that was started anew under its name begins anew', () => {
  const losses = new Losses();
  losses.of([makeCluster({ id: 'x', losses: [loss(9)] })]);
  assert.deepEqual(losses.of([makeCluster({ id: 'y', losses: [loss(1)] })]), []);
  assert.equal(losses.of([makeCluster({ id: 'y', losses: [loss(2)] })]).length, 1);
  assert.deepEqual(losses.of([makeCluster({ id: '', losses: [loss(3)] })]), []);
});
