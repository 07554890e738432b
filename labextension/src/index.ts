/**
 * The plugin: makes the parts and joins them. Only the front end itself is required, so that Notebook 7 loads it too.
 */
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, Notification, ToolbarButton, WidgetTracker } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ServerConnection } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, type TranslationBundle, nullTranslator } from '@jupyterlab/translation';

import { ClusterActions } from './actions';
import { dragCluster, insertInto, runIn } from './attaching';
import { addCommands } from './commands';
import { Feed } from './feed';
import { clustersIcon } from './icon';
import { Losses } from './losses';
import { ClusterList } from './model';
import { Pane, paneId } from './pane';
import { PartsApi } from './parts';
import { API_PATH, ClusterApi, type Requester } from './restapi';
import { addRunning } from './running';
import { Sidebar } from './sidebar';
import { FeedSocket } from './socket';
import { Status } from './status';
import { CommandIDs, IClusters, PLUGIN_ID, type PaneKind, SIDEBAR_ID } from './tokens';

const GET_MS_MAX = 10000; // a server that is stopped would keep the list waiting for ever
const CHANGE_MS_MAX = 60000;

/** Requests with the token and the XSRF cookie of this page's server. */
function requesterFor(settings: ServerConnection.ISettings): Requester {
  return async (path, method, body) => {
    const url = URLExt.join(settings.baseUrl, path);
    const signal = AbortSignal.timeout(method === 'GET' ? GET_MS_MAX : CHANGE_MS_MAX);
    const response = await ServerConnection.makeRequest(url, { method, body, signal }, settings);
    return { status: response.status, text: await response.text() };
  };
}

/** The feed's socket, with the token where the page has one to show. */
function socketFor(settings: ServerConnection.ISettings): FeedSocket {
  return new FeedSocket(() => {
    const { token, appendToken } = settings;
    const query = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    return new settings.WebSocket(URLExt.join(settings.wsUrl, API_PATH, 'feed') + query);
  }, browserClock);
}

const browserClock = {
  now: (): number => Date.now(),
  setTimeout: (run: () => void, delayMs: number): unknown => window.setTimeout(run, delayMs),
  clearTimeout: (timer: unknown): void => {
    window.clearTimeout(timer as number);
  }
};

/** What a person can set; the values until the settings are read. */
class Preferences {
  statusBar = true;
  tellLostWorkers = true;
  intervalS = 1;
  profile = '';

  follow(settings: ISettingRegistry.ISettings, onChanged: () => void): void {
    const read = (): void => {
      Object.assign(this, settings.composite);
      onChanged();
    };
    settings.changed.connect(read);
    read();
  }
}

function tellLosses(
  list: ClusterList,
  preferences: Preferences,
  actions: ClusterActions,
  trans: TranslationBundle
): void {
  const losses = new Losses();
  list.changed.connect(() => {
    for (const { worker, cluster, reason } of losses.of(list.state.clusters)) {
      if (preferences.tellLostWorkers) {
        Notification.warning(trans.__('%1 of cluster %2 was lost: %3', worker, cluster, reason), {
          autoClose: false,
          actions: [
            {
              label: trans.__('Logs'),
              callback: () => {
                actions.openPane(cluster, 'logs');
              }
            }
          ]
        });
      }
    }
  });
}

/** A button in each notebook: the code for the only cluster, or the list to choose from. */
function addToolbarButton(
  app: JupyterFrontEnd,
  list: ClusterList,
  actions: ClusterActions,
  trans: TranslationBundle
): void {
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: (panel: NotebookPanel) => {
      const button = new ToolbarButton({
        icon: clustersIcon,
        tooltip: trans.__('Insert the code for a cluster'),
        onClick: () => {
          const running = list.state.clusters.filter(cluster => cluster.state === 'running');
          if (running.length === 1) {
            actions.insertCode(running[0].name);
          } else {
            void app.commands.execute(CommandIDs.show);
          }
        }
      });
      panel.toolbar.insertItem(10, 'jupyter-dist-insert-code', button);
      return button;
    }
  });
}

/** Panes that are open, by cluster and kind; they come back with the layout. */
function makePaneOpener(
  app: JupyterFrontEnd,
  api: ClusterApi,
  socket: FeedSocket,
  restorer: ILayoutRestorer | null,
  labShell: ILabShell | null,
  trans: TranslationBundle
): (cluster: string, kind: PaneKind) => void {
  const tracker = new WidgetTracker<Pane>({ namespace: 'jupyter-dist-panes' });
  const parts = new PartsApi(api);
  const complain = (what: string, error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    Notification.error(trans.__('Could not %1: %2', what, why), { autoClose: false });
  };
  void restorer?.restore(tracker, {
    command: CommandIDs.restorePane,
    args: ({ options: { cluster, kind } }) => ({ cluster, kind }),
    name: ({ options: { cluster, kind } }) => paneId(cluster, kind)
  });
  return (cluster, kind) => {
    let pane = tracker.find(({ id }) => id === paneId(cluster, kind));
    if (!pane) {
      pane = new Pane({ cluster, kind, parts, socket, complain, trans });
      const other = tracker.find(({ isVisible }) => isVisible) ?? tracker.currentWidget;
      app.shell.add(pane, labShell ? 'main' : 'right', {
        mode: other ? 'tab-after' : 'split-right', // panes share a place beside the notebook
        ref: other?.id,
        type: 'Distributed'
      });
      void tracker.add(pane);
    }
    app.shell.activateById(pane.id);
  };
}

const plugin: JupyterFrontEndPlugin<IClusters> = {
  id: PLUGIN_ID,
  description: 'The clusters of jupyter_dist: a sidebar, panes and commands.',
  autoStart: true,
  optional: [
    ICommandPalette,
    ILayoutRestorer,
    INotebookTracker,
    ITranslator,
    ILabShell,
    ILauncher,
    IRunningSessionManagers,
    IStatusBar,
    ISettingRegistry
  ],
  provides: IClusters,
  activate: (
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    tracker: INotebookTracker | null,
    translator: ITranslator | null,
    labShell: ILabShell | null,
    launcher: ILauncher | null,
    running: IRunningSessionManagers | null,
    statusBar: IStatusBar | null,
    registry: ISettingRegistry | null
  ): IClusters => {
    const trans = (translator ?? nullTranslator).load('jupyter_dist');
    const { serverSettings } = app.serviceManager;
    const [api, socket] = [new ClusterApi(requesterFor(serverSettings)), socketFor(serverSettings)];
    const [list, preferences] = [new ClusterList(), new Preferences()];
    const feed = new Feed(api, list, browserClock, socket);
    const openPane = makePaneOpener(app, api, socket, restorer, labShell, trans);
    const actions = new ClusterActions(
      api,
      list,
      feed,
      {
        insert: code => insertInto(tracker, code),
        run: code => runIn(tracker, code),
        drag: dragCluster,
        openPane,
        get profile() {
          return preferences.profile;
        }
      },
      trans
    );

    const sidebar = new Sidebar({
      list,
      actions,
      trans,
      setWatching: isWatching => {
        feed.setWatching(isWatching, 'sidebar');
      }
    });
    app.shell.add(sidebar, 'left', { rank: 900, type: 'Distributed' });
    restorer?.add(sidebar, SIDEBAR_ID);
    addCommands({ app, list, feed, actions, palette, launcher, trans, openPane });
    addToolbarButton(app, list, actions, trans);
    tellLosses(list, preferences, actions, trans);
    if (running) {
      addRunning(running, list, feed, actions, trans);
    }

    let disposeStatus: (() => void) | null = null;
    const showStatus = (): void => {
      if (!statusBar || preferences.statusBar === (disposeStatus !== null)) {
        return;
      }
      if (disposeStatus) {
        disposeStatus();
        disposeStatus = null;
        return;
      }
      const item = new Status(
        list,
        () => void app.commands.execute(CommandIDs.show),
        isWatching => {
          feed.setWatching(isWatching, 'status');
        },
        trans
      );
      const registered = statusBar.registerStatusItem(PLUGIN_ID, { item, align: 'left', rank: 90 });
      disposeStatus = () => {
        registered.dispose();
        item.dispose();
      };
    };
    const onSettings = (): void => {
      feed.intervalS = preferences.intervalS;
      showStatus();
    };
    if (registry) {
      registry
        .load(PLUGIN_ID)
        .then(settings => {
          preferences.follow(settings, onSettings);
        })
        .catch((error: unknown) => {
          console.warn('The settings of jupyter_dist could not be read:', error);
          onSettings();
        });
    } else {
      onSettings();
    }
    return list;
  }
};

export default plugin;
