/**
 * The tasks of a cluster, of all notebooks: how many there are of each state and function, a list that is filtered, and one
 * of them in full. They can be given up and tried again.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useCallback, useEffect, useId, useState } from 'react';

import { ArmedButton, Button } from './buttons';
import { useNow, useTopic } from './hooks';
import {
  type FunctionCount,
  type Inside,
  type PartsApi,
  TASK_STATES,
  type Task,
  type TaskDetail,
  type TaskPage,
  toInside
} from './parts';
import { type PaneProps, Stale } from './stale';
import { bytesWords, durationWords } from './words';

const SIGNS: Readonly<Record<string, string>> = {
  waiting: '◔',
  queued: '◷',
  processing: '▶',
  memory: '✓',
  erred: '✕'
};
const EMPTY: TaskPage = { tasks: [], next: 0, total: 0 };
const LIST_MS = 2000; // how often the list is looked at while something happens

export function Tasks(props: PaneProps): JSX.Element {
  const { cluster, isSeen, socket, trans } = props;
  const [inside, setInside] = useState<Inside | null>(null);
  const [filter, setFilter] = useState('');
  const [chosen, setChosen] = useState('');
  const state = useTopic(socket, `cluster/${cluster}`, 1, isSeen, told => {
    setInside(toInside(told.state));
  });
  return (
    <>
      <Stale state={state} trans={trans} />
      <div className="jp-jupyterDist-bar" role="group" aria-label={trans.__('Filter by state')}>
        {['', ...TASK_STATES].map(name => (
          <button
            key={name}
            type="button"
            className="jp-jupyterDist-button"
            aria-pressed={filter === name}
            onClick={() => {
              setFilter(name);
            }}
          >
            {name
              ? `${SIGNS[name]} ${inside?.counts[name] ?? 0} ${stateWord(name, trans)}`
              : trans.__('All')}
          </button>
        ))}
      </div>
      <Functions functions={inside?.functions ?? []} trans={trans} />
      <TaskList
        {...props}
        filter={filter}
        stamp={stampOf(inside)}
        chosen={chosen}
        choose={setChosen}
      />
      {chosen && (
        <Detail
          {...props}
          taskKey={chosen}
          stamp={stampOf(inside)}
          close={() => {
            setChosen('');
          }}
        />
      )}
    </>
  );
}

/** What changes whenever a list of tasks may be another one. */
function stampOf(inside: Inside | null): string {
  return JSON.stringify([inside?.counts, inside?.finished, inside?.erred]);
}

function stateWord(state: string, trans: TranslationBundle): string {
  switch (state) {
    case 'waiting':
      return trans.__('waiting');
    case 'queued':
      return trans.__('queued');
    case 'processing':
      return trans.__('running');
    case 'memory':
      return trans.__('in memory');
    case 'erred':
      return trans.__('erred');
    default:
      return state;
  }
}

function Functions({
  functions,
  trans
}: {
  functions: readonly FunctionCount[];
  trans: TranslationBundle;
}): JSX.Element | null {
  if (functions.length === 0) {
    return null;
  }
  return (
    <table className="jp-jupyterDist-table" aria-label={trans.__('Functions')}>
      <thead>
        <tr>
          <th scope="col">{trans.__('Function')}</th>
          <th scope="col">{trans.__('Pending')}</th>
          <th scope="col">{trans.__('Running')}</th>
          <th scope="col">{trans.__('Finished')}</th>
          <th scope="col">{trans.__('Erred')}</th>
          <th scope="col">{trans.__('Mean')}</th>
        </tr>
      </thead>
      <tbody>
        {functions.slice(0, 10).map(counted => (
          <tr key={counted.label}>
            <th scope="row">{counted.label}</th>
            <td>{counted.pending}</td>
            <td>{counted.processing}</td>
            <td>{counted.finished}</td>
            <td>{counted.erred}</td>
            <td>
              {counted.finished > 0
                ? trans.__('%1 s', (counted.seconds / counted.finished).toPrecision(3))
                : '–'}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface ListProps extends PaneProps {
  filter: string;
  stamp: string;
  chosen: string;
  choose: (key: string) => void;
}

/** The pages of tasks that are shown; read again at most every two seconds while counts change. */
function usePages(
  parts: PartsApi,
  cluster: string,
  asked: { state: string; text: string },
  stamp: string,
  isSeen: boolean
): { page: TaskPage; trouble: string; more: () => void; refresh: () => void } {
  const { state, text } = asked;
  const [page, setPage] = useState<TaskPage>(EMPTY);
  const [trouble, setTrouble] = useState('');
  const [due, setDue] = useState(0);
  const read = useCallback(
    async (before: number): Promise<void> => {
      try {
        const next = await parts.tasks(cluster, { state, text, before });
        setPage(shown => (before > 0 ? { ...next, tasks: [...shown.tasks, ...next.tasks] } : next));
        setTrouble('');
      } catch (error) {
        setTrouble(error instanceof Error ? error.message : String(error));
      }
    },
    [parts, cluster, state, text]
  );
  useEffect(() => {
    if (isSeen) {
      void read(0);
    }
  }, [read, isSeen, due]);
  useEffect(() => {
    const timer = window.setTimeout(() => {
      setDue(before => before + 1);
    }, LIST_MS);
    return () => {
      window.clearTimeout(timer);
    };
  }, [stamp]);
  return {
    page,
    trouble,
    more: () => void read(page.next),
    refresh: () => {
      setDue(before => before + 1);
    }
  };
}

function TaskList(props: ListProps): JSX.Element {
  const { cluster, parts, filter, stamp, isSeen, chosen, choose, complain, trans } = props;
  const [typed, setTyped] = useState('');
  const id = useId();
  const asked = { state: filter, text: typed };
  const { page, trouble, more, refresh } = usePages(parts, cluster, asked, stamp, isSeen);
  const keys = page.tasks.map(task => task.key);
  const act = (what: string, doing: Promise<number>): void => {
    doing.then(refresh).catch((error: unknown) => {
      complain(what, error);
    });
  };
  const isOnTheWay = ['waiting', 'queued', 'processing'].includes(filter);
  return (
    <>
      <div className="jp-jupyterDist-bar">
        <label htmlFor={id}>{trans.__('Find')}</label>
        <input
          id={id}
          className="jp-mod-styled"
          type="text"
          placeholder={trans.__('key, function or cell')}
          value={typed}
          onChange={event => {
            setTyped(event.currentTarget.value);
          }}
        />
        {filter === 'erred' && keys.length > 0 && (
          <Button
            label={trans.__('Retry these %1', keys.length)}
            onClick={() => {
              act(trans.__('retry'), parts.retry(cluster, keys));
            }}
          />
        )}
        {isOnTheWay && keys.length > 0 && (
          <ArmedButton
            label={trans.__('Cancel these %1', keys.length)}
            armed={trans.__('Click again to cancel')}
            act={() => {
              act(trans.__('cancel'), parts.cancel(cluster, keys, true));
            }}
          />
        )}
      </div>
      {trouble && <p role="alert">{trouble}</p>}
      <p role="status">{trans.__('showing %1 of %2', page.tasks.length, page.total)}</p>
      <table className="jp-jupyterDist-table" aria-label={trans.__('Tasks')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('Task')}</th>
            <th scope="col">{trans.__('Cell')}</th>
            <th scope="col">{trans.__('Worker')}</th>
            <th scope="col">{trans.__('Since')}</th>
          </tr>
        </thead>
        <tbody>
          {page.tasks.map(task => (
            <TaskRow
              key={task.key}
              task={task}
              isChosen={task.key === chosen}
              choose={choose}
              trans={trans}
            />
          ))}
        </tbody>
      </table>
      {page.next > 0 && <Button label={trans.__('Show more')} onClick={more} />}
    </>
  );
}

interface RowProps {
  task: Task;
  isChosen: boolean;
  choose: (key: string) => void;
  trans: TranslationBundle;
}

function TaskRow({ task, isChosen, choose, trans }: RowProps): JSX.Element {
  const nowMs = useNow(true);
  return (
    <tr data-task={task.key} data-state={task.state}>
      <td>
        <span aria-hidden="true">{SIGNS[task.state] ?? '·'}</span> {stateWord(task.state, trans)}
      </td>
      <th scope="row" className="jp-mod-wide">
        <button
          type="button"
          className="jp-jupyterDist-link"
          aria-expanded={isChosen}
          onClick={() => {
            choose(isChosen ? '' : task.key);
          }}
        >
          {task.key}
        </button>
      </th>
      <td>{task.group}</td>
      <td>{task.worker}</td>
      <td>{durationWords(nowMs / 1000 - task.sinceS, trans)}</td>
    </tr>
  );
}

interface DetailProps extends PaneProps {
  taskKey: string;
  stamp: string;
  close: () => void;
}

function Detail(props: DetailProps): JSX.Element {
  const { cluster, taskKey, stamp, parts, complain, close, trans } = props;
  const [detail, setDetail] = useState<TaskDetail | null>(null);
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let isWanted = true;
    parts
      .task(cluster, taskKey)
      .then(told => {
        if (isWanted) {
          setDetail(told);
          setTrouble('');
        }
      })
      .catch((error: unknown) => {
        if (isWanted) {
          setTrouble(error instanceof Error ? error.message : String(error));
        }
      });
    return () => {
      isWanted = false;
    };
  }, [parts, cluster, taskKey, stamp]);
  const act = (what: string, doing: Promise<number>): void => {
    doing.catch((error: unknown) => {
      complain(what, error);
    });
  };
  return (
    <section className="jp-jupyterDist-detail" aria-label={trans.__('Task %1', taskKey)}>
      <h3>{taskKey}</h3>
      {trouble && <p role="alert">{trouble}</p>}
      {detail && <DetailText detail={detail} trans={trans} />}
      <div className="jp-jupyterDist-buttons">
        {detail?.task.state === 'erred' && (
          <Button
            label={trans.__('Retry')}
            onClick={() => {
              act(trans.__('retry %1', taskKey), parts.retry(cluster, [taskKey]));
            }}
          />
        )}
        {detail && ['waiting', 'queued', 'processing'].includes(detail.task.state) && (
          <ArmedButton
            label={trans.__('Cancel')}
            armed={trans.__('Click again to cancel')}
            act={() => {
              act(trans.__('cancel %1', taskKey), parts.cancel(cluster, [taskKey], true));
            }}
          />
        )}
        <Button label={trans.__('Close')} onClick={close} />
      </div>
    </section>
  );
}

function DetailText({
  detail,
  trans
}: {
  detail: TaskDetail;
  trans: TranslationBundle;
}): JSX.Element {
  return (
    <>
      <p>
        {detail.task.label} · {stateWord(detail.task.state, trans)}
        {detail.typeName && ` · ${detail.typeName}, ${bytesWords(detail.nbytes)}`}
      </p>
      {detail.reasons.length > 0 && (
        <ul>
          {detail.reasons.map(reason => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      {detail.traceback && (
        <pre className="jp-jupyterDist-log" tabIndex={0} aria-label={trans.__('Traceback')}>
          {detail.traceback}
        </pre>
      )}
      {detail.output && (
        <pre className="jp-jupyterDist-log" tabIndex={0} aria-label={trans.__('Output')}>
          {detail.outputCut > 0 && trans.__('… %1 characters before this …', detail.outputCut)}
          {detail.output}
        </pre>
      )}
      {detail.wantedBy.length > 0 && <p>{trans.__('wanted by %1', detail.wantedBy.join(', '))}</p>}
    </>
  );
}
