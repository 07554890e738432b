"""Whether tests that take samples take all there is: `make prove` sets the variable THOROUGH."""

import os

IS_THOROUGH = bool(os.environ.get("THOROUGH"))
