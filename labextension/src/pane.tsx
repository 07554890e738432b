/**
 * A pane beside the notebook: one cluster's tasks, task stream, workers or logs. It is told by the feed while it can be seen.
 */
import type { Message } from '@lumino/messaging';

import { clustersIcon } from './icon';
import { Logs } from './logs';
import type { PaneProps } from './stale';
import { Stream } from './stream';
import { Tasks } from './tasks';
import type { PaneKind } from './tokens';
import { VisibleWidget } from './visible';
import { paneWord } from './words';
import { Workers } from './workers';

export interface PaneOptions extends Omit<PaneProps, 'isSeen'> {
  kind: PaneKind;
}

const BODIES: Readonly<Record<PaneKind, (props: PaneProps) => JSX.Element>> = {
  tasks: Tasks,
  stream: Stream,
  workers: Workers,
  logs: Logs
};

export class Pane extends VisibleWidget {
  constructor(readonly options: PaneOptions) {
    super();
    const { cluster, kind, trans } = options;
    this.id = paneId(cluster, kind);
    this.title.label = `${paneWord(kind, trans)}: ${cluster}`;
    this.title.icon = clustersIcon;
    this.title.closable = true;
    this.addClass('jp-jupyterDist');
    this.addClass('jp-jupyterDist-pane');
    this.node.tabIndex = 0; // it scrolls, and may have nothing in it that takes the focus
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this.title.label);
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  protected override onSeen(): void {
    this.update();
  }

  protected override render(): JSX.Element {
    const Body = BODIES[this.options.kind];
    return <Body {...this.options} isSeen={this.isSeen} />;
  }
}

export function paneId(cluster: string, kind: PaneKind): string {
  return `jupyter-dist-${kind}-${cluster}`;
}
