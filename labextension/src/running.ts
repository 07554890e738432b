/**
 * The clusters in Lab's panel of what runs, beside kernels and terminals.
 */
import type { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import type { ClusterActions } from './actions';
import type { Feed } from './feed';
import { clustersIcon } from './icon';
import type { ClusterList } from './model';
import type { Cluster } from './restapi';
import { sizeWords, stateWord } from './words';

export function addRunning(
  running: IRunningSessionManagers,
  list: ClusterList,
  feed: Feed,
  actions: ClusterActions,
  trans: TranslationBundle
): void {
  const changed = new Signal<object, unknown>({});
  list.changed.connect(() => {
    changed.emit(null);
  });
  const itemOf = (cluster: Cluster): IRunningSessions.IRunningItem => ({
    open: () => {
      actions.openPane(cluster.name, 'tasks');
    },
    shutdown: () => {
      void actions.stop(cluster);
    },
    icon: () => clustersIcon,
    label: () => cluster.name,
    labelTitle: () => `${stateWord(cluster.state, trans)} · ${sizeWords(cluster, trans)}`
  });
  running.add({
    name: trans.__('Clusters'),
    supportsMultipleViews: false,
    running: () => list.state.clusters.map(itemOf),
    shutdownAll: () => {
      for (const cluster of list.state.clusters) {
        void actions.stopNow(cluster.name); // Lab has asked
      }
    },
    refreshRunning: () => {
      void feed.refresh();
    },
    runningChanged: changed,
    shutdownLabel: trans.__('Stop cluster'),
    shutdownAllLabel: trans.__('Shut Down All'),
    shutdownAllConfirmationText: trans.__(
      'Stop all clusters? Their workers end, and results that were not gathered are lost.'
    )
  });
}
