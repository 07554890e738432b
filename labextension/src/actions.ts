/**
 * What a person can do to clusters. Each action asks the server, tells the list what came of it, and shows what went
 * wrong; none throws. The sidebar's buttons and the commands both end here.
 */
import { Clipboard, Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { askForCluster, logBody } from './dialogs';
import type { Feed } from './feed';
import type { ClusterList } from './model';
import type { Bounds, Cluster, ClusterApi, Profile } from './restapi';
import type { PaneKind } from './tokens';
import { codeFor } from './words';

/** What is done in Lab itself: to the notebook at hand, and to the layout. */
export interface LabPort {
  /** Put code into the notebook at hand; say whether there was one. */
  insert(code: string): boolean;
  /** Run code in its kernel; return its path. */
  run(code: string): Promise<string>;
  openPane(name: string, kind: PaneKind): unknown;
  drag(name: string, x: number, y: number): unknown;
  /** The profile that is chosen when the dialog opens. */
  readonly profile: string;
}

export class ClusterActions {
  constructor(
    private readonly api: ClusterApi,
    private readonly list: ClusterList,
    private readonly feed: Feed,
    private readonly lab: LabPort,
    private readonly trans: TranslationBundle
  ) {}

  async create(): Promise<void> {
    const wish = await askForCluster(await this.profiles(), this.lab.profile, this.trans);
    if (wish) {
      await this.change(this.trans.__('start a cluster'), () => this.api.create(wish));
    }
  }

  async scale(name: string, workers: number): Promise<void> {
    await this.change(this.trans.__('scale %1', name), () => this.api.scale(name, workers));
  }

  async adapt(name: string, bounds: Bounds | null): Promise<void> {
    await this.change(this.trans.__('scale %1', name), () => this.api.adapt(name, bounds));
  }

  async restart(name: string): Promise<void> {
    await this.change(this.trans.__('restart %1', name), () => this.api.restart(name));
  }

  /** Stop a cluster, after asking when there is something to lose. */
  async stop(cluster: Cluster): Promise<void> {
    const isGone = cluster.state === 'failed' || cluster.state === 'lost';
    if (isGone || (await this.isStopMeant(cluster.name))) {
      await this.stopNow(cluster.name);
    }
  }

  /** Stop a cluster without asking: whoever calls this has asked. */
  async stopNow(name: string): Promise<void> {
    await this.change(this.trans.__('stop %1', name), async () => {
      await this.api.stop(name);
      this.list.removed(name);
      return undefined;
    });
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
    if (!this.lab.insert(codeFor(name))) {
      this.copyCode(name);
    }
  }

  /** Make an Executor in the kernel of the notebook at hand. */
  async attach(name: string): Promise<void> {
    await this.change(this.trans.__('attach the notebook to %1', name), async () => {
      const path = await this.lab.run(codeFor(name));
      Notification.success(
        this.trans.__('%1 is attached to %2: use `executor` in it.', path, name),
        { autoClose: 5000 }
      );
      return undefined;
    });
  }

  openPane(name: string, kind: PaneKind): void {
    this.lab.openPane(name, kind);
  }

  drag(name: string, x: number, y: number): void {
    this.lab.drag(name, x, y);
  }

  copyCode(name: string): void {
    Clipboard.copyToSystem(codeFor(name));
    Notification.info(this.trans.__('Code for cluster %1 is in the clipboard.', name), {
      autoClose: 3000
    });
  }

  /** Without its profiles the dialog has one choice less, and the server says what is wrong. */
  private async profiles(): Promise<Profile[]> {
    try {
      return await this.api.profiles();
    } catch {
      return [];
    }
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
