/**
 * One cluster in the sidebar: what it is and does, and the buttons that its state allows.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId } from 'react';

import { ArmedButton, Button } from './buttons';
import { useChosen, useHistory, useNow } from './hooks';
import type { Cluster } from './restapi';
import { PANE_KINDS, type PaneKind } from './tokens';
import {
  SIGNS,
  bytesWords,
  linePoints,
  paneWord,
  progressWords,
  shortName,
  sizeWords,
  spokenWords,
  stateWord,
  taskWords
} from './words';

const HISTORY_MAX = 60; // values of the small line

/** What a card asks for. `ClusterActions` is one. */
export interface CardActions {
  scale(name: string, workers: number): unknown;
  restart(name: string): unknown;
  stop(cluster: Cluster): unknown;
  insertCode(name: string): unknown;
  copyCode(name: string): unknown;
  showLog(name: string): unknown;
  attach(name: string): unknown;
  openPane(name: string, kind: PaneKind): unknown;
  drag(name: string, x: number, y: number): unknown;
}

interface CardProps {
  cluster: Cluster;
  isStale: boolean;
  actions: CardActions;
  trans: TranslationBundle;
}

function Scale({ cluster, isStale, actions, trans }: CardProps): JSX.Element {
  const { shown, choose } = useChosen(cluster.wanted, workers =>
    actions.scale(cluster.name, workers)
  );
  return (
    <span className="jp-jupyterDist-scale" role="group" aria-label={trans.__('Scale')}>
      <button
        type="button"
        className="jp-jupyterDist-button"
        aria-label={trans.__('One worker less')}
        disabled={isStale || shown <= 0}
        onClick={() => {
          choose(shown - 1);
        }}
      >
        −
      </button>
      <output aria-label={trans.__('Workers wanted')}>{shown}</output>
      <button
        type="button"
        className="jp-jupyterDist-button"
        aria-label={trans.__('One worker more')}
        disabled={isStale}
        onClick={() => {
          choose(shown + 1);
        }}
      >
        +
      </button>
    </span>
  );
}

function Restart({ cluster, isStale, actions, trans }: CardProps): JSX.Element {
  const held = cluster.counts.memory ?? 0;
  return (
    <ArmedButton
      label={trans.__('Restart')}
      armed={trans.__('Click again to restart')}
      title={trans._n('%1 result will be lost', '%1 results will be lost', held)}
      isDisabled={isStale}
      act={() => actions.restart(cluster.name)}
    />
  );
}

function RunningButtons(props: CardProps): JSX.Element {
  const { cluster, actions, trans } = props;
  return (
    <>
      <Scale {...props} />
      <Restart {...props} />
      <Button
        label={trans.__('Attach')}
        title={trans.__('Make an Executor on this cluster in the notebook’s kernel')}
        onClick={() => actions.attach(cluster.name)}
      />
      <Button
        label={trans.__('Insert code')}
        title={trans.__('Insert the lines that attach this notebook')}
        onClick={() => actions.insertCode(cluster.name)}
      />
      <Button
        label={trans.__('Copy')}
        title={trans.__('Copy the lines that attach a notebook')}
        onClick={() => actions.copyCode(cluster.name)}
      />
    </>
  );
}

/** The memory of all workers over the last updates. */
function Sparkline({ cluster, trans }: Pick<CardProps, 'cluster' | 'trans'>): JSX.Element {
  const values = useHistory(cluster.memory_bytes, cluster.heardAtMs, HISTORY_MAX);
  return (
    <svg
      className="jp-jupyterDist-sparkline"
      role="img"
      aria-label={trans.__('Memory: %1 now', bytesWords(cluster.memory_bytes))}
      viewBox="0 0 60 14"
    >
      <polyline points={linePoints(values, 60, 13)} />
    </svg>
  );
}

/** What can be opened beside the notebook. */
function Panes({ cluster, actions, trans }: CardProps): JSX.Element {
  return (
    <div className="jp-jupyterDist-buttons" role="group" aria-label={trans.__('Open')}>
      {PANE_KINDS.map(kind => (
        <Button
          key={kind}
          label={paneWord(kind, trans)}
          onClick={() => actions.openPane(cluster.name, kind)}
        />
      ))}
    </div>
  );
}

function Facts({ cluster, trans }: CardProps): JSX.Element {
  const { adapting, sessions, trouble } = cluster;
  return (
    <>
      <p>
        {sizeWords(cluster, trans)}{' '}
        {cluster.state === 'running' && <Sparkline cluster={cluster} trans={trans} />}
      </p>
      {adapting && (
        <p>{trans.__('scales itself: %1 to %2 workers', adapting.minimum, adapting.maximum)}</p>
      )}
      {cluster.state === 'running' && <p>{taskWords(cluster, trans)}</p>}
      {sessions.length > 0 && (
        <p title={sessions.join('\n')}>
          {trans.__('used by %1', [...new Set(sessions.map(shortName))].join(', '))}
        </p>
      )}
      {trouble && (
        <p role="alert">
          <span aria-hidden="true">⚠</span> {trouble}
        </p>
      )}
    </>
  );
}

function Actions(props: CardProps & { heading: string }): JSX.Element {
  const { cluster, isStale, actions, trans, heading } = props;
  const isGone = cluster.state === 'failed' || cluster.state === 'lost';
  return (
    <div className="jp-jupyterDist-buttons" role="group" aria-labelledby={heading}>
      {cluster.state === 'running' && <RunningButtons {...props} />}
      {cluster.state !== 'running' && (
        <Button
          label={trans.__('Log')}
          isDisabled={isStale}
          onClick={() => actions.showLog(cluster.name)}
        />
      )}
      <Button
        label={isGone ? trans.__('Remove') : trans.__('Stop')}
        isDisabled={isStale || cluster.state === 'stopping'}
        onClick={() => actions.stop(cluster)}
      />
    </div>
  );
}

export function Card(props: CardProps): JSX.Element {
  const { cluster, actions, trans } = props;
  const heading = useId();
  const isGone = cluster.state === 'failed' || cluster.state === 'lost';
  const nowMs = useNow(cluster.state === 'starting');
  const progress = progressWords(cluster, nowMs, trans);
  return (
    <li
      className="jp-jupyterDist-card"
      data-cluster={cluster.name}
      data-state={cluster.state}
      draggable={cluster.state === 'running'}
      onDragStart={event => {
        event.preventDefault(); // Lab's own drag takes over: notebooks know that one
        actions.drag(cluster.name, event.clientX, event.clientY);
      }}
      aria-label={spokenWords(cluster, trans)}
    >
      <h3 id={heading}>
        <span className="jp-jupyterDist-name">{cluster.name}</span>
        <span className="jp-jupyterDist-state" role="status">
          <span aria-hidden="true">{SIGNS[cluster.state]}</span> {stateWord(cluster.state, trans)}
        </span>
      </h3>
      {progress && <p className="jp-jupyterDist-progress">{progress}</p>}
      {!isGone && <Facts {...props} />}
      {isGone && cluster.log && (
        <pre className="jp-jupyterDist-log" tabIndex={0} aria-label={trans.__('Last log lines')}>
          {cluster.log}
        </pre>
      )}
      <Actions {...props} heading={heading} />
      {cluster.state === 'running' && <Panes {...props} />}
    </li>
  );
}
