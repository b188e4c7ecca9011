"""`python -m cliptail_jax` is the command `cliptail`."""

import sys

from cliptail_jax.programs import main

if __name__ == "__main__":  # processes that load images import this module, too
    sys.exit(main())
