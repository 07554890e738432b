/**
 * A widget that knows whether anybody can see it: it is shown, and so is the page. What is hidden asks for nothing.
 */
import { ReactWidget } from '@jupyterlab/apputils';
import type { Message } from '@lumino/messaging';

export abstract class VisibleWidget extends ReactWidget {
  private wasSeen = false;
  private readonly look = (): void => {
    this.tell(this.isSeen);
  };

  constructor() {
    super();
    document.addEventListener('visibilitychange', this.look);
  }

  get isSeen(): boolean {
    return this.isAttached && this.isVisible && document.visibilityState === 'visible';
  }

  override dispose(): void {
    if (!this.isDisposed) {
      document.removeEventListener('visibilitychange', this.look);
      this.tell(false);
      super.dispose();
    }
  }

  /** It came into sight, or left it. */
  protected abstract onSeen(isSeen: boolean): void;

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.look();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.look();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.look();
  }

  protected override onBeforeDetach(message: Message): void {
    super.onBeforeDetach(message);
    this.tell(false);
  }

  private tell(isSeen: boolean): void {
    if (isSeen !== this.wasSeen) {
      this.wasSeen = isSeen;
      this.onSeen(isSeen);
    }
  }
}
