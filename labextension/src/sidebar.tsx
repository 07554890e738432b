/**
 * The sidebar: the list of clusters in each of its states. It draws the model and passes on what is asked of it.
 */
import { UseSignal } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { Card, type CardActions } from './card';
import { useNow } from './hooks';
import { clustersIcon } from './icon';
import type { ClusterList, ListState } from './model';
import { SIDEBAR_ID } from './tokens';
import { VisibleWidget } from './visible';
import { disconnectedWords } from './words';

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

export class Sidebar extends VisibleWidget {
  constructor(private readonly options: SidebarOptions) {
    super();
    this.id = SIDEBAR_ID;
    this.title.icon = clustersIcon;
    this.title.caption = options.trans.__('Clusters');
    this.addClass('jp-jupyterDist');
    this.node.tabIndex = 0; // it scrolls, and its buttons may all be disabled
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', options.trans.__('Clusters'));
  }

  protected override onSeen(isSeen: boolean): void {
    this.options.setWatching(isSeen);
  }

  protected override render(): JSX.Element {
    const { list, actions, trans } = this.options;
    return (
      <UseSignal signal={list.changed}>
        {() => <Clusters state={list.state} actions={actions} trans={trans} />}
      </UseSignal>
    );
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
  const nowMs = useNow(true);
  return (
    <div className="jp-jupyterDist-hint" role="status" data-testid="disconnected">
      <p title={state.reason}>
        <span aria-hidden="true">⚠</span> {trans.__('The Jupyter server does not answer:')}{' '}
        {disconnectedWords(state.asOfMs, state.retryAtMs, nowMs, trans)}
      </p>
    </div>
  );
}
