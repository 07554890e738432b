/**
 * One cluster in the sidebar: what it is and does, and the buttons that its state allows.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId } from 'react';

import { useArmed, useChosen } from './hooks';
import type { Cluster } from './restapi';
import { SIGNS, progressWords, sizeWords, spokenWords, stateWord, taskWords } from './words';

/** What a card asks for. `ClusterActions` is one. */
export interface CardActions {
  scale(name: string, workers: number): unknown;
  restart(name: string): unknown;
  stop(cluster: Cluster): unknown;
  insertCode(name: string): unknown;
  copyCode(name: string): unknown;
  showLog(name: string): unknown;
}

interface CardProps {
  cluster: Cluster;
  isStale: boolean;
  actions: CardActions;
  trans: TranslationBundle;
}

interface ButtonProps {
  label: string;
  title?: string;
  isDisabled?: boolean;
  isWarning?: boolean;
  onClick: () => void;
}

function Button({ label, title, isDisabled, isWarning, onClick }: ButtonProps): JSX.Element {
  return (
    <button
      type="button"
      className={`jp-jupyterDist-button${isWarning ? ' jp-mod-warn' : ''}`}
      title={title}
      disabled={isDisabled}
      onClick={onClick}
    >
      {label}
    </button>
  );
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
  const { isArmed, press } = useArmed(() => actions.restart(cluster.name));
  const held = cluster.counts.memory ?? 0;
  return (
    <Button
      label={isArmed ? trans.__('Click again to restart') : trans.__('Restart')}
      title={trans._n('%1 result will be lost', '%1 results will be lost', held)}
      isDisabled={isStale}
      isWarning={isArmed}
      onClick={press}
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

export function Card(props: CardProps): JSX.Element {
  const { cluster, isStale, actions, trans } = props;
  const heading = useId();
  const isGone = cluster.state === 'failed' || cluster.state === 'lost';
  const progress = progressWords(cluster, trans);
  return (
    <li
      className="jp-jupyterDist-card"
      data-cluster={cluster.name}
      data-state={cluster.state}
      aria-label={spokenWords(cluster, trans)}
    >
      <h3 id={heading}>
        <span className="jp-jupyterDist-name">{cluster.name}</span>
        <span className="jp-jupyterDist-state" role="status">
          <span aria-hidden="true">{SIGNS[cluster.state]}</span> {stateWord(cluster.state, trans)}
        </span>
      </h3>
      {progress && <p className="jp-jupyterDist-progress">{progress}</p>}
      {!isGone && <p>{sizeWords(cluster, trans)}</p>}
      {cluster.state === 'running' && <p>{taskWords(cluster, trans)}</p>}
      {isGone && cluster.log && (
        <pre className="jp-jupyterDist-log" tabIndex={0} aria-label={trans.__('Last log lines')}>
          {cluster.log}
        </pre>
      )}
      <div className="jp-jupyterDist-buttons" role="group" aria-labelledby={heading}>
        {cluster.state === 'running' && <RunningButtons {...props} />}
        <Button
          label={trans.__('Log')}
          isDisabled={isStale}
          onClick={() => actions.showLog(cluster.name)}
        />
        <Button
          label={isGone ? trans.__('Remove') : trans.__('Stop')}
          isDisabled={isStale || cluster.state === 'stopping'}
          onClick={() => actions.stop(cluster)}
        />
      </div>
    </li>
  );
}
