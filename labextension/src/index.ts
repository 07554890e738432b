/**
 * The plugin: makes the parts and joins them. Only the front end itself is required, so that Notebook 7 loads it too.
 */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ServerConnection } from '@jupyterlab/services';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { ClusterActions } from './actions';
import { addCommands } from './commands';
import { Feed } from './feed';
import { insertInto } from './insertion';
import { ClusterList } from './model';
import { ClusterApi, type Requester } from './restapi';
import { Sidebar } from './sidebar';
import { IClusters, PLUGIN_ID, SIDEBAR_ID } from './tokens';

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

const browserClock = {
  now: (): number => Date.now(),
  setTimeout: (run: () => void, delayMs: number): unknown => window.setTimeout(run, delayMs),
  clearTimeout: (timer: unknown): void => {
    window.clearTimeout(timer as number);
  }
};

const plugin: JupyterFrontEndPlugin<IClusters> = {
  id: PLUGIN_ID,
  description: 'The clusters of jupyter_dist: a sidebar and commands.',
  autoStart: true,
  optional: [ICommandPalette, ILayoutRestorer, INotebookTracker, ITranslator],
  provides: IClusters,
  activate: (
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ): IClusters => {
    const trans = (translator ?? nullTranslator).load('jupyter_dist');
    const api = new ClusterApi(requesterFor(app.serviceManager.serverSettings));
    const list = new ClusterList();
    const feed = new Feed(api, list, browserClock);
    const insert = (code: string): boolean => insertInto(tracker, code);
    const actions = new ClusterActions(api, list, feed, insert, trans);
    const setWatching = (isWatching: boolean): void => {
      feed.setWatching(isWatching);
    };

    const sidebar = new Sidebar({ list, actions, trans, setWatching });
    app.shell.add(sidebar, 'left', { rank: 900, type: 'Distributed' });
    restorer?.add(sidebar, SIDEBAR_ID);
    addCommands({ app, list, feed, actions, palette, trans });
    return list;
  }
};

export default plugin;
