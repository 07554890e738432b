/**
 * The two small states a card has of its own: a button that arms first, and a number that is being chosen.
 */
import { useEffect, useRef, useState } from 'react';

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
