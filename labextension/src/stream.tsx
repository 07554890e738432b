/**
 * The task stream: one lane for each slot, time to the right, running bars grow. A canvas, drawn five times a second while it
 * can be seen; what is on it is said in words beside it.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useEffect, useId, useRef, useState } from 'react';

import { Button } from './buttons';
import { useTopic } from './hooks';
import { type Bar, Lanes, WINDOW_S, barAt, colourOf } from './lanes';
import { toEvents, toInside } from './parts';
import { type PaneProps, Stale } from './stale';
import { durationWords } from './words';

const DRAW_MS = 200;
const LANE_PX = 18;
const LABEL_PX = 110;
const AXIS_PX = 20;

/** Where a time is on the canvas. */
interface View {
  readonly fromS: number;
  readonly toS: number;
  readonly widthPx: number;
}

export function Stream({ cluster, isSeen, socket, trans }: PaneProps): JSX.Element {
  const lanes = useRef(new Lanes());
  const offsetS = useRef(0); // of this clock from the cluster's
  const canvas = useRef<HTMLCanvasElement>(null);
  const [stoppedAtS, setStoppedAtS] = useState<number | null>(null);
  const [pointed, setPointed] = useState<Bar | null>(null);
  const [find, setFind] = useState('');
  const [isFailedOnly, setFailedOnly] = useState(false);
  const id = useId();
  const inside = useTopic(socket, `cluster/${cluster}`, 0.5, isSeen, told => {
    const state = toInside(told.state);
    if (state) {
      offsetS.current = Date.now() / 1000 - state.atS;
      lanes.current.setRunning(state.workers, state.running);
    }
  });
  useTopic(socket, `tasks/${cluster}`, 0.2, isSeen, told => {
    if (told.kind === 'snapshot') {
      lanes.current.clear();
    }
    lanes.current.add(toEvents(told.events), Number(told.skipped));
  });
  const isShown = (bar: Bar): boolean =>
    bar.label.includes(find) && (!isFailedOnly || bar.kind === 'failed');
  const nowS = (): number => Date.now() / 1000 - offsetS.current;
  const view = (): View => {
    const toS = stoppedAtS ?? nowS();
    return { fromS: toS - WINDOW_S, toS, widthPx: canvas.current?.clientWidth ?? 0 };
  };
  const draw = (): void => {
    if (stoppedAtS === null) {
      lanes.current.forgetBefore(nowS() - 10 * WINDOW_S);
    }
    if (canvas.current) {
      const bars = lanes.current.barsAt(nowS()).filter(isShown);
      paint(canvas.current, lanes.current, bars, view(), trans);
    }
  };
  const drawing = useRef(draw);
  drawing.current = draw;
  useEffect(() => {
    if (!isSeen) {
      return undefined;
    }
    const timer = window.setInterval(() => {
      drawing.current();
    }, DRAW_MS);
    return () => {
      window.clearInterval(timer);
    };
  }, [isSeen]);
  const onPoint = (event: React.MouseEvent): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const lane = lanes.current.lanes[Math.floor((event.clientY - box.top) / LANE_PX)];
    const bars = lanes.current.barsAt(nowS()).filter(isShown);
    setPointed(barAt(bars, lane, timeAt(event.clientX - box.left, view())) ?? null);
  };
  return (
    <>
      <Stale state={inside} trans={trans} />
      <div className="jp-jupyterDist-bar">
        <Button
          label={stoppedAtS === null ? trans.__('Pause') : trans.__('Follow')}
          onClick={() => {
            setStoppedAtS(stoppedAtS === null ? nowS() : null);
          }}
        />
        <Button
          label={trans.__('Save as PNG')}
          onClick={() => {
            save(canvas.current, `${cluster}.png`);
          }}
        />
        <label htmlFor={id}>{trans.__('Function')}</label>
        <input
          id={id}
          className="jp-mod-styled"
          type="text"
          value={find}
          onChange={event => {
            setFind(event.currentTarget.value);
          }}
        />
        <label>
          <input
            type="checkbox"
            checked={isFailedOnly}
            onChange={event => {
              setFailedOnly(event.currentTarget.checked);
            }}
          />
          {trans.__('failed only')}
        </label>
      </div>
      <p role="status">
        {pointed
          ? barWords(pointed, trans)
          : trans.__('Point at a bar to see what it is. The list of tasks says it in words.')}
      </p>
      <canvas
        ref={canvas}
        className="jp-jupyterDist-canvas"
        role="img"
        aria-label={trans.__(
          'Task stream of %1: what ran on each worker in the last minute',
          cluster
        )}
        onMouseMove={onPoint}
      />
    </>
  );
}

function barWords(bar: Bar, trans: TranslationBundle): string {
  const took = durationWords(bar.stoppedS - bar.startedS, trans);
  return [bar.label, bar.key, bar.kind, took, bar.lane].join(' · ');
}

function timeAt(xPx: number, view: View): number {
  const share = (xPx - LABEL_PX) / Math.max(1, view.widthPx - LABEL_PX);
  return view.fromS + share * (view.toS - view.fromS);
}

function placeOf(atS: number, view: View): number {
  const share = (atS - view.fromS) / (view.toS - view.fromS);
  return LABEL_PX + share * (view.widthPx - LABEL_PX);
}

function paint(
  canvas: HTMLCanvasElement,
  lanes: Lanes,
  bars: readonly Bar[],
  view: View,
  trans: TranslationBundle
): void {
  const names = lanes.lanes;
  const heightPx = names.length * LANE_PX + AXIS_PX;
  const scale = window.devicePixelRatio || 1;
  canvas.style.height = `${heightPx}px`;
  canvas.width = view.widthPx * scale;
  canvas.height = heightPx * scale;
  const pen = canvas.getContext('2d');
  if (!pen || view.widthPx <= LABEL_PX) {
    return;
  }
  const colours = getComputedStyle(canvas);
  const ink = colours.getPropertyValue('--jp-ui-font-color1');
  const error = colours.getPropertyValue('--jp-error-color1');
  pen.scale(scale, scale);
  pen.font = `11px ${colours.fontFamily}`;
  pen.textBaseline = 'middle';
  names.forEach((name, place) => {
    pen.fillStyle = ink;
    pen.fillText(name, 2, place * LANE_PX + LANE_PX / 2, LABEL_PX - 6);
  });
  const rows = new Map(names.map((name, place) => [name, place]));
  for (const bar of bars) {
    paintBar(pen, bar, rows.get(bar.lane) ?? 0, view, error);
  }
  pen.fillStyle = ink;
  for (const mark of lanes.marks.filter(({ atS }) => atS >= view.fromS && atS <= view.toS)) {
    pen.fillRect(placeOf(mark.atS, view), 0, 1, names.length * LANE_PX);
  }
  paintAxis(pen, names.length * LANE_PX + AXIS_PX / 2, view, trans);
}

function paintAxis(
  pen: CanvasRenderingContext2D,
  middlePx: number,
  view: View,
  trans: TranslationBundle
): void {
  const isWide = view.widthPx > LABEL_PX + 300;
  for (const agoS of isWide ? [60, 45, 30, 15, 0] : [60, 30, 0]) {
    const words = agoS === 0 ? trans.__('now') : trans.__('-%1 s', agoS);
    pen.textAlign = agoS === 60 ? 'left' : 'right';
    pen.fillText(words, placeOf(view.toS - agoS, view), middlePx);
  }
  pen.textAlign = 'left';
}

function paintBar(
  pen: CanvasRenderingContext2D,
  bar: Bar,
  row: number,
  view: View,
  error: string
): void {
  const from = Math.max(LABEL_PX, placeOf(bar.startedS, view));
  const to = Math.min(view.widthPx, placeOf(bar.stoppedS, view));
  if (to < LABEL_PX || from > view.widthPx) {
    return;
  }
  const [top, height] = [row * LANE_PX + 2, LANE_PX - 4];
  pen.globalAlpha = bar.kind === 'running' ? 0.6 : 1;
  pen.fillStyle = colourOf(bar.label);
  pen.fillRect(from, top, Math.max(1, to - from), height);
  pen.globalAlpha = 1;
  if (bar.kind === 'failed' || bar.kind === 'retried') {
    pen.strokeStyle = error;
    pen.lineWidth = 2;
    pen.strokeRect(from, top, Math.max(2, to - from), height);
    const middle = (from + to) / 2;
    pen.beginPath();
    pen.moveTo(middle - 4, top + 2);
    pen.lineTo(middle + 4, top + height - 2);
    pen.moveTo(middle + 4, top + 2);
    pen.lineTo(middle - 4, top + height - 2);
    pen.stroke();
  }
}

function save(canvas: HTMLCanvasElement | null, name: string): void {
  if (canvas) {
    const link = document.createElement('a');
    link.href = canvas.toDataURL('image/png');
    link.download = name;
    link.click();
  }
}
