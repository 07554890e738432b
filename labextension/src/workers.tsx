/**
 * The workers of a cluster as a table: what each does, has and had, and what can be done to it.
 */
import { useState } from 'react';

import { ArmedButton } from './buttons';
import { useTopic } from './hooks';
import { type Inside, type Worker, toInside } from './parts';
import { type PaneProps, Stale } from './stale';
import { bytesWords, workerStateWord } from './words';

const STATE_SIGNS: Readonly<Record<string, string>> = {
  running: '●',
  paused: '◐',
  retiring: '◑',
  silent: '?',
  lost: '✕'
};

export function Workers(props: PaneProps): JSX.Element {
  const { cluster, isSeen, socket, trans } = props;
  const [inside, setInside] = useState<Inside | null>(null);
  const state = useTopic(socket, `cluster/${cluster}`, 1, isSeen, told => {
    setInside(toInside(told.state));
  });
  const isStale = state.trouble !== '' || state.retryAtMs > 0;
  const workers = inside?.workers ?? [];
  return (
    <>
      <Stale state={state} trans={trans} />
      {inside && workers.length === 0 && (
        <p data-testid="no-workers">
          {trans.__('The scheduler is up and has no worker: scale the cluster to get some.')}
        </p>
      )}
      <table className="jp-jupyterDist-table" aria-label={trans.__('Workers')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('Worker')}</th>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('Running')}</th>
            <th scope="col">{trans.__('CPU')}</th>
            <th scope="col">{trans.__('Memory')}</th>
            <th scope="col">{trans.__('Restarts')}</th>
            <th scope="col">{trans.__('Actions')}</th>
          </tr>
        </thead>
        <tbody>
          {workers.map(worker => (
            <Row key={worker.name} worker={worker} isStale={isStale} {...props} />
          ))}
        </tbody>
      </table>
    </>
  );
}

interface RowProps extends PaneProps {
  worker: Worker;
  isStale: boolean;
}

function Row({ worker, isStale, cluster, parts, complain, trans }: RowProps): JSX.Element {
  const act = (what: string, doing: Promise<void>): void => {
    doing.catch((error: unknown) => {
      complain(what, error);
    });
  };
  return (
    <tr data-worker={worker.name} data-state={worker.state}>
      <th scope="row" title={`${worker.host}, pid ${worker.pid}`}>
        {worker.name}
      </th>
      <td title={worker.trouble}>
        <span aria-hidden="true">{STATE_SIGNS[worker.state] ?? '·'}</span>{' '}
        {workerStateWord(worker.state, trans)}
        {worker.trouble && ' ⚠'}
      </td>
      <td>{trans.__('%1/%2, %3 queued', worker.running, worker.slots, worker.queued)}</td>
      <td>{trans.__('%1 %', Math.round(worker.cpuPercent))}</td>
      <td>
        {bytesWords(worker.memoryBytes)}
        {worker.memoryBytesMax > 0 && ` / ${bytesWords(worker.memoryBytesMax)}`}
        {worker.spilledBytes > 0 && trans.__(', %1 on disk', bytesWords(worker.spilledBytes))}
      </td>
      <td className="jp-mod-wide" title={worker.lastDeath}>
        {worker.restarts}
        {worker.lastDeath && ` · ${worker.lastDeath.slice(0, 80)}`}
      </td>
      <td>
        <ArmedButton
          label={trans.__('Restart')}
          spoken={trans.__('Restart %1', worker.name)}
          armed={trans.__('Click again to restart')}
          isDisabled={isStale}
          act={() => {
            const what = trans.__('restart %1', worker.name);
            act(what, parts.restartWorker(cluster, worker.name));
          }}
        />
        <ArmedButton
          label={trans.__('Retire')}
          spoken={trans.__('Retire %1', worker.name)}
          armed={trans.__('Click again to retire')}
          title={trans.__('It leaves when it has done what it runs; its results go to others')}
          isDisabled={isStale}
          act={() => {
            const what = trans.__('retire %1', worker.name);
            act(what, parts.retireWorker(cluster, worker.name));
          }}
        />
      </td>
    </tr>
  );
}
