/**
 * The bodies of dialogs.
 */
import { Dialog, ReactWidget, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import { useId } from 'react';

import type { ClusterRequest, Profile } from './restapi';
import { isGoodName } from './words';

/** What stands in the fields, as typed. Empty: the server decides. */
interface Fields {
  name: string;
  workers: string;
  threads: string;
  memory: string;
  profile: string;
}

interface FieldProps {
  label: string;
  hint: string;
  type: 'text' | 'number';
  onInput: (value: string) => void;
}

function Field({ label, hint, type, onInput }: FieldProps): JSX.Element {
  const id = useId();
  return (
    <div className="jp-jupyterDist-field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="jp-mod-styled"
        type={type}
        min={type === 'number' ? 1 : undefined}
        placeholder={hint}
        onInput={event => {
          onInput(event.currentTarget.value);
        }}
      />
    </div>
  );
}

interface ProfilesProps {
  profiles: readonly Profile[];
  chosen: string;
  label: string;
  onChoose: (name: string) => void;
}

function Profiles({ profiles, chosen, label, onChoose }: ProfilesProps): JSX.Element {
  const id = useId();
  return (
    <div className="jp-jupyterDist-field">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        className="jp-mod-styled"
        defaultValue={chosen}
        onChange={event => {
          onChoose(event.currentTarget.value);
        }}
      >
        {profiles.map(profile => (
          <option key={profile.name} value={profile.name} title={profile.description}>
            {profile.label}
          </option>
        ))}
      </select>
    </div>
  );
}

class NewClusterBody extends ReactWidget implements Dialog.IBodyWidget<Fields> {
  private readonly fields: Fields;

  constructor(
    private readonly profiles: readonly Profile[],
    profile: string,
    private readonly trans: TranslationBundle
  ) {
    super();
    const known = profiles.some(({ name }) => name === profile);
    const chosen = known ? profile : (profiles[0]?.name ?? '');
    this.fields = { name: '', workers: '', threads: '', memory: '', profile: chosen };
  }

  getValue(): Fields {
    return this.fields;
  }

  protected render(): JSX.Element {
    const { fields, trans } = this;
    return (
      <>
        {this.profiles.length > 1 && (
          <Profiles
            profiles={this.profiles}
            chosen={fields.profile}
            label={trans.__('Profile')}
            onChoose={value => (fields.profile = value)}
          />
        )}
        <Field
          label={trans.__('Name')}
          hint={trans.__('default')}
          type="text"
          onInput={value => (fields.name = value)}
        />
        <Field
          label={trans.__('Workers')}
          hint={trans.__('one for each core')}
          type="number"
          onInput={value => (fields.workers = value)}
        />
        <Field
          label={trans.__('Threads per worker')}
          hint="1"
          type="number"
          onInput={value => (fields.threads = value)}
        />
        <Field
          label={trans.__('Memory of each worker')}
          hint={trans.__('no limit; such as 2GB')}
          type="text"
          onInput={value => (fields.memory = value)}
        />
      </>
    );
  }
}

/** Ask for what a new cluster should be. Null when it was called off. */
export async function askForCluster(
  profiles: readonly Profile[],
  profile: string,
  trans: TranslationBundle
): Promise<ClusterRequest | null> {
  const answer = await showDialog({
    title: trans.__('New cluster'),
    body: new NewClusterBody(profiles, profile, trans),
    focusNodeSelector: 'input[type=text]',
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Start') })
    ]
  });
  if (!answer.button.accept || !answer.value) {
    return null;
  }
  return toRequest(answer.value, trans);
}

export function logBody(log: string): Widget {
  const node = document.createElement('pre');
  node.className = 'jp-jupyterDist-log';
  node.tabIndex = 0;
  node.textContent = log;
  return new Widget({ node });
}

async function toRequest(fields: Fields, trans: TranslationBundle): Promise<ClusterRequest | null> {
  const name = fields.name.trim();
  if (name && !isGoodName(name)) {
    await showDialog({
      title: trans.__('That name will not do'),
      body: trans.__(
        'A name has at most 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit.'
      ),
      buttons: [Dialog.okButton()]
    });
    return null;
  }
  const request: ClusterRequest = {};
  if (name) {
    request.name = name;
  }
  if (Number(fields.workers) > 0) {
    request.workers = Math.round(Number(fields.workers));
  }
  if (Number(fields.threads) > 0) {
    request.threads_per_worker = Math.round(Number(fields.threads));
  }
  if (fields.memory.trim()) {
    request.memory_limit = fields.memory.trim();
  }
  if (fields.profile) {
    request.profile = fields.profile;
  }
  return request;
}
