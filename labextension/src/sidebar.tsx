/**
 * The sidebar: the list of clusters in each of its states. It draws the model and passes on what is asked of it.
 */
import { ReactWidget, UseSignal } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { useEffect, useState } from 'react';

import { Card, type CardActions } from './card';
import type { ClusterList, ListState } from './model';
import { SIDEBAR_ID } from './tokens';
import { disconnectedWords } from './words';

/** Four workers around a scheduler. */
export const clustersIcon = new LabIcon({
  name: 'jupyter-dist:clusters',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M6 6L18 18M18 6L6 18" stroke="#616161" stroke-width="1.6" class="jp-icon3-stroke"/>
    <circle cx="12" cy="12" r="3.6"/><circle cx="5" cy="5" r="2.8"/><circle cx="19" cy="5" r="2.8"/>
    <circle cx="5" cy="19" r="2.8"/><circle cx="19" cy="19" r="2.8"/>
  </g></svg>`
});

export interface SidebarActions extends CardActions {
  create(): unknown;
}

export interface SidebarOptions {
  list: ClusterList;
  actions: SidebarActions;
  trans: TranslationBundle;
  /** Told when the sidebar comes into sight and when it leaves it. */
  setWatching: (isWatching: boolean) => void;
}

export class Sidebar extends ReactWidget {
  private readonly onPageVisibility = (): void => {
    this.tellWatching();
  };

  constructor(private readonly options: SidebarOptions) {
    super();
    this.id = SIDEBAR_ID;
    this.title.icon = clustersIcon;
    this.title.caption = options.trans.__('Clusters');
    this.addClass('jp-jupyterDist');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', options.trans.__('Clusters'));
    document.addEventListener('visibilitychange', this.onPageVisibility);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      document.removeEventListener('visibilitychange', this.onPageVisibility);
      this.options.setWatching(false);
      super.dispose();
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.tellWatching();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.tellWatching();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.tellWatching();
  }

  protected override onBeforeDetach(message: Message): void {
    super.onBeforeDetach(message);
    this.options.setWatching(false);
  }

  protected override render(): JSX.Element {
    const { list, actions, trans } = this.options;
    return (
      <UseSignal signal={list.changed}>
        {() => <Clusters state={list.state} actions={actions} trans={trans} />}
      </UseSignal>
    );
  }

  private tellWatching(): void {
    this.options.setWatching(this.isVisible && document.visibilityState === 'visible');
  }
}

interface ClustersProps {
  state: ListState;
  actions: SidebarActions;
  trans: TranslationBundle;
}

function Clusters({ state, actions, trans }: ClustersProps): JSX.Element {
  return (
    <>
      <header className="jp-jupyterDist-header">
        <h2>{trans.__('Clusters')}</h2>
        <button
          type="button"
          className="jp-jupyterDist-button"
          disabled={state.connection !== 'connected'}
          onClick={() => actions.create()}
        >
          {trans.__('New…')}
        </button>
      </header>
      {state.connection === 'connecting' && (
        <p role="status">{trans.__('Looking for clusters…')}</p>
      )}
      {state.connection === 'missing' && <Missing trans={trans} />}
      {state.connection === 'disconnected' && <Disconnected state={state} trans={trans} />}
      {state.connection === 'connected' && state.clusters.length === 0 && <Empty trans={trans} />}
      <ul className="jp-jupyterDist-list" aria-label={trans.__('Clusters')}>
        {state.clusters.map(cluster => (
          <Card
            key={cluster.name}
            cluster={cluster}
            isStale={state.connection !== 'connected'}
            actions={actions}
            trans={trans}
          />
        ))}
      </ul>
    </>
  );
}

function Empty({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-jupyterDist-hint" data-testid="empty">
      <p>{trans.__('No cluster is running. Start one with New…, or in a notebook:')}</p>
      <pre>{'%load_ext jupyter_dist\n%distributed start'}</pre>
    </div>
  );
}

function Missing({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-jupyterDist-hint" role="alert" data-testid="missing">
      <p>
        {trans.__(
          'The Jupyter server does not know of clusters: its extension jupyter_dist is not enabled. Enable it, then restart the server:'
        )}
      </p>
      <pre>jupyter server extension enable jupyter_dist</pre>
    </div>
  );
}

function Disconnected({ state, trans }: Omit<ClustersProps, 'actions'>): JSX.Element {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => {
      setNowMs(Date.now());
    }, 1000);
    return () => {
      window.clearInterval(timer);
    };
  }, []);
  return (
    <div className="jp-jupyterDist-hint" role="status" data-testid="disconnected">
      <p title={state.reason}>
        <span aria-hidden="true">⚠</span> {trans.__('The Jupyter server does not answer:')}{' '}
        {disconnectedWords(state.asOfMs, state.retryAtMs, nowMs, trans)}
      </p>
    </div>
  );
}
