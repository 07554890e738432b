/**
 * Puts code into the notebook at hand: into the active cell when it is an empty code cell, else into a new one below.
 */
import { type INotebookTracker, NotebookActions } from '@jupyterlab/notebook';

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
