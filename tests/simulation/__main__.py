"""`python -m tests.simulation`: see runs.py."""

import sys

from tests.simulation.runs import main

sys.exit(main())
