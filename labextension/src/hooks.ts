/**
 * The small states that views have of their own: a button that arms first, a number that is being chosen, the time, and
 * what the feed told of a topic.
 */
import { useEffect, useRef, useState } from 'react';

import type { FeedSocket, Told } from './socket';

export const ARMED_MS = 5000;
export const SETTLE_MS = 500;

/** A button that acts at the second press, and forgets the first after five seconds. */
export function useArmed(act: () => void): { isArmed: boolean; press: () => void } {
  const [isArmed, setArmed] = useState(false);
  useEffect(() => {
    if (!isArmed) {
      return undefined;
    }
    const timer = window.setTimeout(() => {
      setArmed(false);
    }, ARMED_MS);
    return () => {
      window.clearTimeout(timer);
    };
  }, [isArmed]);
  const press = (): void => {
    setArmed(!isArmed);
    if (isArmed) {
      act();
    }
  };
  return { isArmed, press };
}

/**
 * A number with − and +: shows what was chosen at once, and sends it when the person has stopped pressing. What was
 * sent is shown until it was answered; from then on what the server says.
 */
export function useChosen(
  actual: number,
  send: (value: number) => unknown
): { shown: number; choose: (value: number) => void } {
  const [chosen, setChosen] = useState<number | null>(null);
  const sending = useRef(send);
  sending.current = send;
  useEffect(() => {
    if (chosen === null) {
      return undefined;
    }
    const timer = window.setTimeout(() => {
      void Promise.resolve(sending.current(chosen)).then(() => {
        setChosen(latest => (latest === chosen ? null : latest));
      });
    }, SETTLE_MS);
    return () => {
      window.clearTimeout(timer);
    };
  }, [chosen]);
  return { shown: chosen ?? actual, choose: setChosen };
}

/** The time, each second while it is of interest. */
export function useNow(isOfInterest: boolean): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    if (!isOfInterest) {
      return undefined;
    }
    const timer = window.setInterval(() => {
      setNowMs(Date.now());
    }, 1000);
    return () => {
      window.clearInterval(timer);
    };
  }, [isOfInterest]);
  return nowMs;
}

export interface TopicState {
  readonly trouble: string; // why there is nothing to hear
  readonly asOfMs: number; // when it was last heard, 0 for never
  readonly retryAtMs: number; // when the connection is tried again, 0 while there is one
}

/** Watch a topic of the feed while it can be seen. */
export function useTopic(
  socket: FeedSocket,
  topic: string,
  intervalS: number,
  isSeen: boolean,
  onTold: (told: Told) => void
): TopicState {
  const [state, setState] = useState<TopicState>({ trouble: '', asOfMs: 0, retryAtMs: 0 });
  const telling = useRef(onTold);
  telling.current = onTold;
  useEffect(() => {
    if (!isSeen) {
      return undefined;
    }
    return socket.watch(topic, intervalS, {
      told: told => {
        if (told.kind === 'trouble' || told.kind === 'error') {
          setState(before => ({ ...before, trouble: String(told.message) }));
        } else {
          setState({ trouble: '', asOfMs: Date.now(), retryAtMs: 0 });
          telling.current(told);
        }
      },
      lost: retryAtMs => {
        setState(before => ({ ...before, retryAtMs }));
      }
    });
  }, [socket, topic, intervalS, isSeen]);
  return state;
}

/** The last values of a number that is told again and again; `stamp` changes with each telling. */
export function useHistory(value: number, stamp: number, lengthMax: number): readonly number[] {
  const history = useRef<{ stamp: number; values: number[] }>({ stamp: -1, values: [] });
  if (history.current.stamp !== stamp) {
    history.current = { stamp, values: [...history.current.values, value].slice(-lengthMax) };
  }
  return history.current.values;
}
