"""`python -m intervalchange`, for launchers such as torchrun."""

import sys

from intervalchange.cli import main

sys.exit(main())
