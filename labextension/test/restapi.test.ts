import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError, ClusterApi, toCluster } from '../src/restapi';
import { FakeServer, makeCluster } from './fakes';

test('list asks without counting as activity and returns checked clusters', async () => {
  const server = new FakeServer();
  server.answer(200, { clusters: [makeCluster({ name: 'a' })] });
  const clusters = await new ClusterApi(server.request).list();
  assert.deepEqual(
    clusters.map(cluster => cluster.name),
    ['a']
  );
  assert.deepEqual(server.requests, [
    { path: 'jupyter_dist/api/v1/clusters?no_track_activity=1', method: 'GET', body: undefined }
  ]);
});

test('create sends only what was asked for', async () => {
  const server = new FakeServer();
  server.answer(202, makeCluster({ state: 'starting', phase: 'workers 1/2' }));
  const cluster = await new ClusterApi(server.request).create({ workers: 2 });
  assert.equal(cluster.phase, 'workers 1/2');
  assert.deepEqual(server.requests[0].body, { workers: 2 });
  assert.equal(server.requests[0].method, 'POST');
});

test('scale, restart, stop and log name the cluster in the path, escaped', async () => {
  const server = new FakeServer();
  const api = new ClusterApi(server.request);
  server.answer(200, makeCluster());
  await api.scale('a/b', 3);
  await api.restart('a/b');
  server.answer(204);
  await api.stop('a/b');
  server.answer(200, { log: 'hello' });
  assert.equal(await api.log('a/b'), 'hello');
  const base = 'jupyter_dist/api/v1/clusters/a%2Fb';
  assert.deepEqual(
    server.requests.map(({ method, path, body }) => [method, path, body]),
    [
      ['PATCH', base, { workers: 3 }],
      ['POST', `${base}/restart`, {}],
      ['DELETE', base, undefined],
      ['GET', `${base}/log`, undefined]
    ]
  );
});

test('an error carries the status and the server’s own words', async () => {
  const server = new FakeServer();
  server.answer(409, { message: 'there is a cluster named default already' });
  await assert.rejects(new ClusterApi(server.request).create({}), (error: unknown) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 409);
    assert.equal(error.message, 'there is a cluster named default already');
    return true;
  });
});

test('an error page of a proxy is told by its status', async () => {
  const server = new FakeServer();
  server.reply = { status: 502, text: '<html>Bad gateway</html>' };
  await assert.rejects(new ClusterApi(server.request).list(), /The server answered 502/);
});

test('an answer that is no list of clusters is refused', async () => {
  const server = new FakeServer();
  for (const answer of [[], { clusters: 3 }, { clusters: [{ name: 'a', state: 'odd' }] }]) {
    server.answer(200, answer);
    await assert.rejects(new ClusterApi(server.request).list(), ApiError);
  }
});

test('a cluster with missing fields gets empty ones', () => {
  const cluster = toCluster({ name: 'a', state: 'lost', counts: { memory: 'x' }, sessions: null });
  assert.equal(cluster.workers, 0);
  assert.equal(cluster.reason, '');
  assert.deepEqual(cluster.counts, { memory: 0 });
  assert.deepEqual(cluster.sessions, []);
});
