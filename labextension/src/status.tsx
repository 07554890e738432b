/**
 * The status bar: "4 workers · 12 running · 1 error", of all clusters; pressed, it shows them.
 */
import { UseSignal } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { clustersIcon } from './icon';
import type { ClusterList } from './model';
import { VisibleWidget } from './visible';
import { statusWords } from './words';

export class Status extends VisibleWidget {
  constructor(
    private readonly list: ClusterList,
    private readonly showClusters: () => void,
    private readonly setWatching: (isWatching: boolean) => void,
    private readonly trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-jupyterDist-status');
  }

  protected override onSeen(isSeen: boolean): void {
    this.setWatching(isSeen);
  }

  protected override render(): JSX.Element {
    const { list, showClusters, trans } = this;
    return (
      <UseSignal signal={list.changed}>
        {() => {
          const words = statusWords(list.state.clusters, trans);
          const isOld = list.state.connection !== 'connected';
          return words ? (
            <button
              type="button"
              className="jp-jupyterDist-link"
              title={
                isOld ? trans.__('The Jupyter server does not answer') : trans.__('Show Clusters')
              }
              onClick={showClusters}
            >
              <clustersIcon.react tag="span" height="14px" width="14px" /> {words}
              {isOld && ' ⚠'}
            </button>
          ) : (
            <></>
          );
        }}
      </UseSignal>
    );
  }
}
