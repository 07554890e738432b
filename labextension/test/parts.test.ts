import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PartsApi, toEvents, toInside } from '../src/parts';
import { ClusterApi } from '../src/restapi';
import { FakeServer } from './fakes';

function makeApi(): { parts: PartsApi; server: FakeServer } {
  const server = new FakeServer();
  return { parts: new PartsApi(new ClusterApi(server.request)), server };
}

const BASE = 'jupyter_dist/api/v1/clusters/mine';

test('workers are named in the path, escaped', async () => {
  const { parts, server } = makeApi();
  await parts.restartWorker('mine', 'a/b');
  await parts.retireWorker('mine', 'a/b');
  server.answer(200, { log: 'hello' });
  assert.equal(await parts.log('mine', 'scheduler'), 'hello');
  assert.deepEqual(
    server.requests.map(({ method, path }) => [method, path]),
    [
      ['POST', `${BASE}/workers/a%2Fb/restart`],
      ['DELETE', `${BASE}/workers/a%2Fb`],
      ['GET', `${BASE}/workers/scheduler/log?lines=500`]
    ]
  );
});

test('a page of tasks is asked for by state, text and place', async () => {
  const { parts, server } = makeApi();
  server.answer(200, { tasks: [{ key: 'k', state: 'erred' }, 3], next: 7, total: 9 });
  const page = await parts.tasks('mine', { state: 'erred', text: 'a&b', before: 40 });
  assert.deepEqual([page.tasks.length, page.tasks[0].key, page.next, page.total], [1, 'k', 7, 9]);
  assert.equal(server.requests[0].path, `${BASE}/tasks?state=erred&text=a%26b&before=40&count=100`);
});

test('one task has its traceback, output and reasons; what is missing is empty', async () => {
  const { parts, server } = makeApi();
  server.answer(200, {
    task: { key: 'a/b' },
    error: { traceback: 'Traceback', text: 'no' },
    output: 'printed',
    reasons: ['it erred']
  });
  const detail = await parts.task('mine', 'a/b');
  assert.deepEqual(
    [detail.task.key, detail.traceback, detail.output, detail.reasons, detail.wantedBy],
    ['a/b', 'Traceback', 'printed', ['it erred'], []]
  );
  assert.equal(server.requests[0].path, `${BASE}/tasks/a%2Fb`);
});

test('cancel and retry say which tasks and tell how many it were', async () => {
  const { parts, server } = makeApi();
  server.answer(200, { keys: ['a', 'b'] });
  assert.equal(await parts.cancel('mine', ['a'], true), 2);
  assert.equal(await parts.retry('mine', ['a']), 2);
  assert.deepEqual(
    server.requests.map(({ body }) => body),
    [{ keys: ['a'], force: true }, { keys: ['a'] }]
  );
});

test('the inside of a cluster is read field by field', () => {
  const inside = toInside({
    at_s: 5,
    counts: { processing: 2 },
    workers: [{ name: 'worker-0', memory_bytes: 7, heard_s: 0.5 }],
    functions: [{ label: 'fit', waiting: 1, queued: 2 }],
    running: [{ key: 'k', started_s: 3 }]
  });
  assert.equal(inside?.workers[0].memoryBytes, 7);
  assert.equal(inside?.functions[0].pending, 3);
  assert.equal(inside?.running[0].startedS, 3);
  assert.equal(toInside(null), null);
});

test('events come as rows', () => {
  const events = toEvents([[4, 'failed', 1.5, 'k', 'fit', 'In[3]', 'w', 1, 1, 2, 9, 'why'], 'x']);
  assert.equal(events.length, 1);
  assert.deepEqual(
    [events[0].number, events[0].kind, events[0].slot, events[0].stoppedS, events[0].detail],
    [4, 'failed', 1, 2, 'why']
  );
});
