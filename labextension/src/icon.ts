/**
 * The icon of clusters, in the colours of the theme.
 */
import { LabIcon } from '@jupyterlab/ui-components';

/** Four workers around a scheduler. */
export const clustersIcon = new LabIcon({
  name: 'jupyter-dist:clusters',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M6 6L18 18M18 6L6 18" stroke="#616161" stroke-width="1.6" class="jp-icon3-stroke"/>
    <circle cx="12" cy="12" r="3.6"/><circle cx="5" cy="5" r="2.8"/><circle cx="19" cy="5" r="2.8"/>
    <circle cx="5" cy="19" r="2.8"/><circle cx="19" cy="19" r="2.8"/>
  </g></svg>`
});
