"""The command line: python -m helpers.trials ls | verify | adopt | publish | rm --stale."""

import argparse
import sys

from helpers.base import run_command
from helpers.trials import upkeep


def main(arguments=None) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.trials", description="Look after trial records.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ls", help="count the records")
    verbs.add_parser("verify", help="train the probe of every record again and compare")
    verbs.add_parser("adopt", help="write today's source into stale records whose probes are equal or close")
    verbs.add_parser("publish", help="copy full-budget records to be committed").add_argument(
        "--checkpoints", action="store_true"
    )
    verbs.add_parser("rm", help="remove records").add_argument("--stale", action="store_true", required=True)
    options = parser.parse_args(arguments)
    verb = {"ls": upkeep.ls, "verify": upkeep.verify, "adopt": upkeep.adopt, "rm": upkeep.rm_stale}.get(options.verb)
    return run_command(verb or (lambda: upkeep.copy_to_published(options.checkpoints)))


if __name__ == "__main__":
    sys.exit(main())
