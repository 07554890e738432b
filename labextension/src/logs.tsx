/**
 * What the processes of a cluster print: one of them at a time, read again every two seconds while it can be seen.
 */
import { useEffect, useId, useRef, useState } from 'react';

import { useTopic } from './hooks';
import { toInside } from './parts';
import { type PaneProps, Stale } from './stale';

const INTERVAL_MS = 2000;
const ALWAYS: readonly string[] = ['scheduler', 'nanny'];

export function Logs({ cluster, isSeen, parts, socket, trans }: PaneProps): JSX.Element {
  const [workers, setWorkers] = useState<readonly string[]>([]);
  const [chosen, setChosen] = useState('scheduler');
  const [log, setLog] = useState('');
  const [trouble, setTrouble] = useState('');
  const id = useId();
  const pre = useRef<HTMLPreElement>(null);
  const state = useTopic(socket, `cluster/${cluster}`, 5, isSeen, told => {
    setWorkers(toInside(told.state)?.workers.map(worker => worker.name) ?? []);
  });
  useEffect(() => {
    let isWanted = isSeen;
    const read = async (): Promise<void> => {
      try {
        const read = await parts.log(cluster, chosen);
        if (isWanted) {
          setLog(read);
          setTrouble('');
        }
      } catch (error) {
        if (isWanted) {
          setTrouble(error instanceof Error ? error.message : String(error));
        }
      }
    };
    if (isSeen) {
      void read();
    }
    const timer = window.setInterval(() => {
      if (isWanted) {
        void read();
      }
    }, INTERVAL_MS);
    return () => {
      isWanted = false;
      window.clearInterval(timer);
    };
  }, [parts, cluster, chosen, isSeen]);
  useEffect(() => {
    if (pre.current) {
      pre.current.scrollTop = pre.current.scrollHeight;
    }
  }, [log]);
  const names = [...new Set([...ALWAYS, chosen, ...workers])];
  return (
    <>
      <Stale state={state} trans={trans} />
      <div className="jp-jupyterDist-bar">
        <label htmlFor={id}>{trans.__('Process')}</label>
        <select
          id={id}
          className="jp-mod-styled"
          value={chosen}
          onChange={event => {
            setLog('');
            setChosen(event.currentTarget.value);
          }}
        >
          {names.map(name => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      {trouble && <p role="alert">{trouble}</p>}
      <pre
        ref={pre}
        className="jp-jupyterDist-log jp-mod-tall"
        tabIndex={0}
        aria-label={trans.__('Log of %1', chosen)}
      >
        {log || trans.__('It has printed nothing.')}
      </pre>
    </>
  );
}
