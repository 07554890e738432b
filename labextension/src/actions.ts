/**
 * What a person can do to clusters. Each action asks the server, tells the list what came of it, and shows what went
 * wrong; none throws. The sidebar's buttons and the commands both end here.
 */
import { Clipboard, Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { askForCluster, logBody } from './dialogs';
import type { Feed } from './feed';
import type { ClusterList } from './model';
import type { Cluster, ClusterApi } from './restapi';
import { codeFor } from './words';

/** Puts code into the notebook at hand; says whether there was one. */
export type CodeInserter = (code: string) => boolean;

export class ClusterActions {
  constructor(
    private readonly api: ClusterApi,
    private readonly list: ClusterList,
    private readonly feed: Feed,
    private readonly insert: CodeInserter,
    private readonly trans: TranslationBundle
  ) {}

  async create(): Promise<void> {
    const wish = await askForCluster(this.trans);
    if (wish) {
      await this.change(this.trans.__('start a cluster'), () => this.api.create(wish));
    }
  }

  async scale(name: string, workers: number): Promise<void> {
    await this.change(this.trans.__('scale %1', name), () => this.api.scale(name, workers));
  }

  async restart(name: string): Promise<void> {
    await this.change(this.trans.__('restart %1', name), () => this.api.restart(name));
  }

  /** Stop a cluster, after asking when there is something to lose. */
  async stop(cluster: Cluster): Promise<void> {
    const isGone = cluster.state === 'failed' || cluster.state === 'lost';
    if (isGone || (await this.isStopMeant(cluster.name))) {
      await this.change(this.trans.__('stop %1', cluster.name), async () => {
        await this.api.stop(cluster.name);
        this.list.removed(cluster.name);
        return undefined;
      });
    }
  }

  async showLog(name: string): Promise<void> {
    await this.change(this.trans.__('read the log of %1', name), async () => {
      const log = await this.api.log(name);
      await showDialog({
        title: this.trans.__('Log of %1', name),
        body: logBody(log || this.trans.__('The log is empty.')),
        buttons: [Dialog.okButton({ label: this.trans.__('Close') })]
      });
      return undefined;
    });
  }

  insertCode(name: string): void {
    if (!this.insert(codeFor(name))) {
      this.copyCode(name);
    }
  }

  copyCode(name: string): void {
    Clipboard.copyToSystem(codeFor(name));
    Notification.info(this.trans.__('Code for cluster %1 is in the clipboard.', name), {
      autoClose: 3000
    });
  }

  private async isStopMeant(name: string): Promise<boolean> {
    const answer = await showDialog({
      title: this.trans.__('Stop cluster %1?', name),
      body: this.trans.__(
        'Its workers end, and results that were not gathered are lost. Notebooks attached to it are told.'
      ),
      buttons: [
        Dialog.cancelButton({ label: this.trans.__('Keep it') }),
        Dialog.warnButton({ label: this.trans.__('Stop cluster') })
      ]
    });
    return answer.button.accept;
  }

  private async change(what: string, act: () => Promise<Cluster | undefined>): Promise<void> {
    try {
      const cluster = await act();
      if (cluster) {
        this.list.replaced(cluster);
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      Notification.error(this.trans.__('Could not %1: %2', what, why), { autoClose: false });
    }
    void this.feed.refresh();
  }
}
