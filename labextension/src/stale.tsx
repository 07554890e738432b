/**
 * What all panes share: what they are made of, and the words for values that are old.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import { type TopicState, useNow } from './hooks';
import type { PartsApi } from './parts';
import type { FeedSocket } from './socket';
import { disconnectedWords } from './words';

/** Shows what went wrong with something a person asked for. */
export type Complain = (what: string, error: unknown) => void;

/** What each pane is made of. */
export interface PaneProps {
  cluster: string;
  isSeen: boolean;
  parts: PartsApi;
  socket: FeedSocket;
  complain: Complain;
  trans: TranslationBundle;
}

/** Says that what is shown is old, and why. */
export function Stale({
  state,
  trans
}: {
  state: TopicState;
  trans: TranslationBundle;
}): JSX.Element {
  const nowMs = useNow(state.retryAtMs > 0);
  const isLost = state.retryAtMs > 0;
  return (
    <div role="status">
      {isLost && (
        <p data-testid="disconnected">
          <span aria-hidden="true">⚠</span> {trans.__('The Jupyter server does not answer:')}{' '}
          {disconnectedWords(state.asOfMs, state.retryAtMs, nowMs, trans)}
        </p>
      )}
      {!isLost && state.trouble && (
        <p data-testid="trouble">
          <span aria-hidden="true">⚠</span> {state.trouble}
        </p>
      )}
    </div>
  );
}
