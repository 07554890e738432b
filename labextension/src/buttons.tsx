/**
 * Buttons: plain ones, and those that act at the second press.
 */
import { useArmed } from './hooks';

interface ButtonProps {
  label: string;
  title?: string;
  spoken?: string;
  isDisabled?: boolean;
  isWarning?: boolean;
  onClick: () => void;
}

export function Button(props: ButtonProps): JSX.Element {
  const { label, title, spoken, isDisabled, isWarning, onClick } = props;
  return (
    <button
      type="button"
      className={`jp-jupyterDist-button${isWarning ? ' jp-mod-warn' : ''}`}
      title={title}
      aria-label={spoken}
      disabled={isDisabled}
      onClick={onClick}
    >
      {label}
    </button>
  );
}

interface ArmedProps extends Omit<ButtonProps, 'isWarning' | 'onClick'> {
  /** What it says when it was pressed once. */
  armed: string;
  act: () => void;
}

export function ArmedButton({ label, armed, act, spoken, ...others }: ArmedProps): JSX.Element {
  const { isArmed, press } = useArmed(act);
  return (
    <Button
      {...others}
      label={isArmed ? armed : label}
      spoken={isArmed || !spoken ? undefined : spoken}
      isWarning={isArmed}
      onClick={press}
    />
  );
}
