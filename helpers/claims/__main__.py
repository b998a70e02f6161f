"""The command line.

python -m helpers.claims why A3            what the verdicts on row A3 stand on
python -m helpers.claims new-study mine    a claims file and a notebook to judge a report of your own
"""

import argparse
import sys

from helpers.base import run_command
from helpers.claims.claims import why
from helpers.claims.new_study import new_study


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.claims", description="Claims and their verdicts.")
    actions = parser.add_subparsers(dest="action", required=True)
    reasons = actions.add_parser("why", help="what the verdicts on a claim or a row stand on")
    reasons.add_argument("claim", help="an id, e.g. A3, A3.test_accuracy or S-A7")
    reasons.add_argument("--budget", choices=("smoke", "standard", "full"), help="whose pages; default: the largest")
    actions.add_parser("new-study", help="a claims file and a notebook of your own").add_argument("name")
    asked = parser.parse_args(arguments)
    if asked.action == "why":
        return run_command(lambda: why(asked.claim, asked.budget))
    return run_command(lambda: "\n".join(f"wrote notebooks/{path.name}" for path in new_study(asked.name)))


if __name__ == "__main__":
    sys.exit(main())
