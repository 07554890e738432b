/**
 * What is done to the notebook at hand: code is put into it, or run in its kernel; and a cluster is dragged into one.
 */
import { type INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import type { KernelMessage } from '@jupyterlab/services';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';

import { codeFor } from './words';

const CELL_MIME = 'application/vnd.jupyter.cells'; // what a notebook takes when it is dropped on it

/** Put code into the active cell when it is an empty code cell, else into a new one below; say whether there was a notebook. */
export function insertInto(tracker: INotebookTracker | null, code: string): boolean {
  const panel = tracker?.currentWidget;
  if (!panel) {
    return false;
  }
  const notebook = panel.content;
  const model = notebook.activeCell?.model;
  if (model?.type !== 'code' || model.sharedModel.getSource().trim() !== '') {
    NotebookActions.insertBelow(notebook);
  }
  notebook.activeCell?.model.sharedModel.setSource(code);
  notebook.mode = 'edit';
  return true;
}

/** Run code in the notebook's kernel, leaving no trace in its history. Returns its path; throws what the kernel says. */
export async function runIn(tracker: INotebookTracker | null, code: string): Promise<string> {
  const context = tracker?.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  if (!context || !kernel) {
    throw new Error('no notebook with a running kernel is open');
  }
  const request = kernel.requestExecute({ code, silent: false, store_history: false });
  let words = '';
  request.onIOPub = (message: KernelMessage.IIOPubMessage) => {
    if (message.header.msg_type === 'error') {
      const { ename, evalue } = message.content as KernelMessage.IErrorMsg['content'];
      words = `${ename}: ${evalue}`;
    }
  };
  const reply = await request.done;
  if (reply && reply.content.status !== 'ok') {
    throw new Error(words || 'the kernel did not run it');
  }
  return context.path;
}

/** Drag a cluster: a notebook on which it is dropped gets a cell that uses it. */
export function dragCluster(name: string, x: number, y: number): Promise<unknown> {
  const image = document.createElement('div');
  image.className = 'jp-jupyterDist-dragged';
  image.textContent = name;
  const mimeData = new MimeData();
  mimeData.setData(CELL_MIME, [
    { cell_type: 'code', source: codeFor(name), metadata: {}, outputs: [], execution_count: null }
  ]);
  mimeData.setData('text/plain', codeFor(name));
  const drag = new Drag({
    mimeData,
    dragImage: image,
    supportedActions: 'copy',
    proposedAction: 'copy'
  });
  return drag.start(x, y).finally(() => {
    drag.dispose();
  });
}
