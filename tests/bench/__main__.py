"""`python -m tests.bench [ONLY=report_a*] [SAMPLES=5] [SECONDS=2.5] [CHECK=0] [DATA=standin]`: measure and write."""

import os
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the benchmark in a home of its own, so that no record of the checkout is read or written."""
    sys.path.insert(0, str(CHECKOUT))
    given = {}
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        given[name] = value
    home = Path(os.environ.get("COURSEWORK_HOME") or CHECKOUT).resolve()
    reports = home / "reports"
    for folder in (home / "data", reports):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("COURSEWORK_DATA", str(home / "data"))
    os.environ["COURSEWORK_BUILD"] = "1"  # no progress bars
    for name in ("ENGINE", "FRESH"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(dir=reports, prefix=".bench-", ignore_cleanup_errors=True) as scratch:
        Path(scratch, "data").symlink_to(home / "data")
        os.environ["COURSEWORK_HOME"] = scratch
        from helpers.base import CourseworkError

        from . import runner

        try:
            runner.run(reports / "bench.json", os.environ | given, list(given))
        except CourseworkError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Interrupted; finished cases are kept.", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
