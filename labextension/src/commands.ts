/**
 * The commands: the same actions as the sidebar's buttons, for the palette, for keys, and for other extensions.
 * A command that concerns a cluster takes its name as the argument `name`; without one it takes the only cluster.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { ILauncher } from '@jupyterlab/launcher';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { ClusterActions } from './actions';
import type { Feed } from './feed';
import type { ClusterList } from './model';
import type { Bounds, Cluster } from './restapi';
import { clustersIcon } from './icon';
import { CommandIDs, PANE_KINDS, type PaneKind, SIDEBAR_ID } from './tokens';

export interface CommandOptions {
  app: JupyterFrontEnd;
  list: ClusterList;
  feed: Feed;
  actions: ClusterActions;
  palette: ICommandPalette | null;
  launcher: ILauncher | null;
  trans: TranslationBundle;
  openPane: (cluster: string, kind: PaneKind) => void;
}

const NO_ARGUMENTS = { type: 'object', properties: {} };
const NAME = { name: { type: 'string', description: 'The name of the cluster' } };
const WORKERS = { workers: { type: 'integer', description: 'How many workers it shall have' } };

const BOUNDS = {
  minimum: { type: 'integer', description: 'Workers it keeps in any case' },
  maximum: { type: 'integer', description: 'Workers at most; 0 ends it' }
};
const KIND = { kind: { enum: [...PANE_KINDS], description: 'What of the cluster is opened' } };

export function addCommands(options: CommandOptions): void {
  addGeneralCommands(options);
  addClusterCommands(options);
}

function addGeneralCommands(options: CommandOptions): void {
  const { app, list, feed, actions, palette, launcher, trans, openPane } = options;
  const describedBy = { args: NO_ARGUMENTS };
  app.commands.addCommand(CommandIDs.show, {
    label: trans.__('Show Clusters'),
    icon: clustersIcon,
    describedBy,
    execute: () => {
      app.shell.activateById(SIDEBAR_ID);
    }
  });
  app.commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh the List of Clusters'),
    describedBy,
    execute: () => feed.refresh()
  });
  app.commands.addCommand(CommandIDs.create, {
    label: args => (args.isLauncher ? trans.__('New Cluster') : trans.__('New Cluster…')),
    icon: clustersIcon,
    describedBy,
    execute: () => actions.create()
  });
  app.commands.addCommand(CommandIDs.stopAll, {
    label: trans.__('Stop All Clusters…'),
    describedBy,
    isEnabled: () => list.state.clusters.length > 0,
    execute: async () => {
      for (const cluster of list.state.clusters) {
        await actions.stop(cluster);
      }
    }
  });
  app.commands.addCommand(CommandIDs.restorePane, {
    label: trans.__('Open a Pane of a Cluster Again'), // also of one that is not known yet: the layout comes first
    describedBy: { args: { type: 'object', properties: { cluster: NAME.name, ...KIND } } },
    execute: args => {
      const kind = PANE_KINDS.find(known => known === args.kind);
      if (kind && typeof args.cluster === 'string') {
        openPane(args.cluster, kind);
      }
    }
  });
  const { show, refresh, create, stopAll } = CommandIDs;
  for (const command of [show, refresh, create, stopAll]) {
    palette?.addItem({ command, category: trans.__('Distributed') });
  }
  launcher?.add({ command: create, category: trans.__('Distributed'), rank: 1 });
}

function addClusterCommands(options: CommandOptions): void {
  const { actions, trans } = options;
  addClusterCommand(options, CommandIDs.restart, trans.__('Restart Cluster'), cluster =>
    actions.restart(cluster.name)
  );
  addClusterCommand(options, CommandIDs.stop, trans.__('Stop Cluster…'), cluster =>
    actions.stop(cluster)
  );
  addClusterCommand(
    options,
    CommandIDs.insertCode,
    trans.__('Insert Code for Cluster'),
    cluster => {
      actions.insertCode(cluster.name);
    }
  );
  addClusterCommand(options, CommandIDs.copyCode, trans.__('Copy Code for Cluster'), cluster => {
    actions.copyCode(cluster.name);
  });
  addClusterCommand(options, CommandIDs.showLog, trans.__('Show Log of Cluster'), cluster =>
    actions.showLog(cluster.name)
  );
  addClusterCommand(options, CommandIDs.attach, trans.__('Attach Notebook to Cluster'), cluster =>
    actions.attach(cluster.name)
  );
  addClusterCommand(
    options,
    CommandIDs.openPane,
    trans.__('Open Tasks, Task Stream, Workers or Logs of Cluster'),
    (cluster, args) => {
      actions.openPane(cluster.name, PANE_KINDS.find(kind => kind === args.kind) ?? 'tasks');
    },
    KIND
  );
  addClusterCommand(
    options,
    CommandIDs.adapt,
    trans.__('Have Cluster Scale Itself'),
    (cluster, args) => actions.adapt(cluster.name, boundsOf(args, cluster)),
    BOUNDS
  );
  addClusterCommand(
    options,
    CommandIDs.scale,
    trans.__('Scale Cluster'),
    (cluster, args) => actions.scale(cluster.name, workersOf(args, cluster)),
    WORKERS
  );
}

function addClusterCommand(
  { app, list, palette, trans }: CommandOptions,
  id: string,
  label: string,
  act: (cluster: Cluster, args: ReadonlyPartialJSONObject) => unknown,
  properties: ReadonlyPartialJSONObject = {}
): void {
  const find = (args: ReadonlyPartialJSONObject): Cluster | undefined => {
    const { clusters } = list.state;
    return typeof args.name === 'string'
      ? clusters.find(cluster => cluster.name === args.name)
      : clusters.length === 1
        ? clusters[0]
        : undefined;
  };
  app.commands.addCommand(id, {
    label,
    describedBy: { args: { type: 'object', properties: { ...NAME, ...properties } } },
    isEnabled: args => find(args) !== undefined,
    execute: async args => {
      const cluster = find(args);
      if (cluster) {
        await act(cluster, args);
      }
    }
  });
  palette?.addItem({ command: id, category: trans.__('Distributed') });
}

function workersOf(args: ReadonlyPartialJSONObject, cluster: Cluster): number {
  return typeof args.workers === 'number'
    ? Math.max(0, Math.round(args.workers))
    : cluster.wanted + 1;
}

/** Without arguments: from one worker to as many as it has. */
function boundsOf(args: ReadonlyPartialJSONObject, cluster: Cluster): Bounds | null {
  const maximum = typeof args.maximum === 'number' ? args.maximum : Math.max(1, cluster.wanted);
  const minimum = typeof args.minimum === 'number' ? args.minimum : Math.min(1, maximum);
  return maximum > 0 ? { minimum, maximum } : null;
}
