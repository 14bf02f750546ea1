"""`python -m onestroke`."""

import sys

from onestroke.cli.main import main

sys.exit(main())
