/**
 * The commands: the same actions as the sidebar's buttons, for the palette, for keys, and for other extensions.
 * A command that concerns a cluster takes its name as the argument `name`; without one it takes the only cluster.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { ClusterActions } from './actions';
import type { Feed } from './feed';
import type { ClusterList } from './model';
import type { Cluster } from './restapi';
import { clustersIcon } from './sidebar';
import { CommandIDs, SIDEBAR_ID } from './tokens';

export interface CommandOptions {
  app: JupyterFrontEnd;
  list: ClusterList;
  feed: Feed;
  actions: ClusterActions;
  palette: ICommandPalette | null;
  trans: TranslationBundle;
}

const NO_ARGUMENTS = { type: 'object', properties: {} };
const NAME = { name: { type: 'string', description: 'The name of the cluster' } };
const WORKERS = { workers: { type: 'integer', description: 'How many workers it shall have' } };

export function addCommands(options: CommandOptions): void {
  addGeneralCommands(options);
  addClusterCommands(options);
}

function addGeneralCommands({ app, feed, actions, palette, trans }: CommandOptions): void {
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
    label: trans.__('New Cluster…'),
    describedBy,
    execute: () => actions.create()
  });
  for (const command of [CommandIDs.show, CommandIDs.refresh, CommandIDs.create]) {
    palette?.addItem({ command, category: trans.__('Distributed') });
  }
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
  addClusterCommand(
    options,
    CommandIDs.scale,
    trans.__('Scale Cluster'),
    (cluster, args) => actions.scale(cluster.name, workersOf(args, cluster)),
    WORKERS
  );
}

function addClusterCommand(
  { app, list }: CommandOptions,
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
}

function workersOf(args: ReadonlyPartialJSONObject, cluster: Cluster): number {
  return typeof args.workers === 'number'
    ? Math.max(0, Math.round(args.workers))
    : cluster.wanted + 1;
}
