/**
 * Names that more than one file, or another extension, needs: plugins, commands, and the token of the model.
 */
import { Token } from '@lumino/coreutils';

import type { ClusterList } from './model';

export const PLUGIN_ID = 'jupyter-dist:clusters';
export const SIDEBAR_ID = 'jupyter-dist-clusters';

export const CommandIDs = {
  show: 'jupyter-dist:show-clusters',
  refresh: 'jupyter-dist:refresh-clusters',
  create: 'jupyter-dist:new-cluster',
  scale: 'jupyter-dist:scale-cluster',
  adapt: 'jupyter-dist:adapt-cluster',
  restart: 'jupyter-dist:restart-cluster',
  stop: 'jupyter-dist:stop-cluster',
  insertCode: 'jupyter-dist:insert-code',
  copyCode: 'jupyter-dist:copy-code',
  showLog: 'jupyter-dist:show-log',
  attach: 'jupyter-dist:attach-notebook',
  openPane: 'jupyter-dist:open-pane',
  restorePane: 'jupyter-dist:restore-pane',
  stopAll: 'jupyter-dist:stop-all-clusters'
} as const;

/** What of a cluster can be opened beside the notebook. */
export const PANE_KINDS = ['tasks', 'stream', 'workers', 'logs'] as const;
export type PaneKind = (typeof PANE_KINDS)[number];

/** What other extensions may ask for: the clusters as they are now, and a signal when they change. */
export type IClusters = Pick<ClusterList, 'state' | 'changed'>;

export const IClusters = new Token<IClusters>(
  'jupyter-dist:IClusters',
  'The clusters the sidebar shows, and a signal when they change.'
);
