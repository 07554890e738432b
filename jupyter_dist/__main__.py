"""`python -m jupyter_dist` is `jupyter dist`."""

import sys

from jupyter_dist.cli import main

sys.exit(main())
