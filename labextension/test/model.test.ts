import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ClusterList } from '../src/model';
import { ApiError } from '../src/restapi';
import { makeCluster } from './fakes';

function watched(): { list: ClusterList; changes: () => number } {
  const list = new ClusterList();
  let count = 0;
  list.changed.connect(() => {
    count += 1;
  });
  return { list, changes: () => count };
}

test('a first list connects and is in the order of names', () => {
  const { list, changes } = watched();
  assert.equal(list.state.connection, 'connecting');
  list.listed([makeCluster({ name: 'b' }), makeCluster({ name: 'a' })], 5);
  assert.equal(list.state.connection, 'connected');
  assert.deepEqual(
    list.state.clusters.map(cluster => cluster.name),
    ['a', 'b']
  );
  assert.equal(changes(), 1);
});

test('the same list again, later, changes nothing that can be seen', () => {
  const { list, changes } = watched();
  list.listed([makeCluster({ elapsed_s: 1 })], 5);
  list.listed([makeCluster({ elapsed_s: 3 })], 7);
  assert.equal(changes(), 1);
  assert.equal(list.state.asOfMs, 7);
});

test('a starting cluster’s elapsed time is seen', () => {
  const { list, changes } = watched();
  list.listed([makeCluster({ state: 'starting', elapsed_s: 1 })], 5);
  list.listed([makeCluster({ state: 'starting', elapsed_s: 3 })], 7);
  assert.equal(changes(), 2);
});

test('a failure keeps the last clusters and says of when they are', () => {
  const { list } = watched();
  list.listed([makeCluster()], 5);
  list.failed(new TypeError('Failed to fetch'), 1005);
  assert.deepEqual(
    { ...list.state, clusters: list.state.clusters.length },
    {
      connection: 'disconnected',
      clusters: 1,
      asOfMs: 5,
      retryAtMs: 1005,
      reason: 'Failed to fetch'
    }
  );
});

test('an unknown path means that the server extension is missing', () => {
  const { list } = watched();
  list.listed([makeCluster()], 5);
  list.failed(new ApiError(404, 'Not Found'), 1005);
  assert.equal(list.state.connection, 'missing');
  assert.deepEqual(list.state.clusters, []);
});

test('an answer after a failure connects again', () => {
  const { list } = watched();
  list.failed(new Error('x'), 1005);
  list.listed([], 2000);
  assert.deepEqual(list.state, {
    connection: 'connected',
    clusters: [],
    asOfMs: 2000,
    retryAtMs: 0,
    reason: ''
  });
});

test('an action’s answer replaces one cluster, adds a new one, removes a stopped one', () => {
  const { list } = watched();
  list.listed([makeCluster({ name: 'a' }), makeCluster({ name: 'c' })], 5);
  list.replaced(makeCluster({ name: 'c', wanted: 7 }));
  list.replaced(makeCluster({ name: 'b', state: 'starting' }));
  list.removed('a');
  assert.deepEqual(
    list.state.clusters.map(({ name, wanted }) => [name, wanted]),
    [
      ['b', 2],
      ['c', 7]
    ]
  );
});

test('a delta changes, adds and removes, and leaves the others as they are', () => {
  const { list } = watched();
  list.listed(
    [makeCluster({ name: 'a' }), makeCluster({ name: 'b' }), makeCluster({ name: 'c' })],
    5
  );
  list.changedTo([makeCluster({ name: 'c', wanted: 7 }), makeCluster({ name: 'd' })], ['b'], 9);
  assert.deepEqual(
    list.state.clusters.map(({ name, wanted }) => [name, wanted]),
    [
      ['a', 2],
      ['c', 7],
      ['d', 2]
    ]
  );
  assert.equal(list.state.asOfMs, 9);
});
