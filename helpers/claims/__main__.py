"""The command line.

python -m helpers.claims why A3            what the verdicts on row A3 stand on
python -m helpers.claims ledger --csv      the whole ledger, one line a claim
python -m helpers.claims judge 0.860 --ours 0.8717 0.8734 --metric test_accuracy --network report_a
                                           a verdict on a number that anyone has, with its reason
python -m helpers.claims new-study mine    a claims file and a notebook to judge a report of your own
"""

import argparse
import math
import sys
from types import SimpleNamespace

from helpers.base import CourseworkError, run_command
from helpers.claims import calibration, judge, ledger, pool, spread, trail
from helpers.claims.claims import load_claims
from helpers.claims.evidence import load_results
from helpers.claims.new_study import new_study
from helpers.claims.values import parse


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.action == "why":
        return run_command(lambda: trail.why(options.claim, options.budget))
    if options.action == "ledger":
        return run_command(lambda: show_ledger(options.budget, options.csv))
    if options.action == "judge":
        return run_command(lambda: judge_number(options))
    return run_command(lambda: "\n".join(f"wrote notebooks/{path.name}" for path in new_study(options.name)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers.claims", description="Claims and their verdicts.")
    actions = parser.add_subparsers(dest="action", required=True)
    reasons = actions.add_parser("why", help="what the verdicts on a claim or a row stand on")
    reasons.add_argument("claim", help="an id, e.g. A3, A3.test_accuracy or S-A7")
    whole = actions.add_parser("ledger", help="all claims with their verdicts, or their counts")
    whole.add_argument("--csv", action="store_true", help="one line a claim instead of counts")
    for action in (reasons, whole):
        action.add_argument("--budget", choices=("smoke", "standard", "full"), help="whose pages; default: the largest")
    number = actions.add_parser("judge", help="a printed number against values of your own")
    number.add_argument("printed", help='as printed: 0.860, "90.05 %%" or 20-25')
    number.add_argument("--ours", type=float, nargs="+", required=True, help="one value a seed")
    number.add_argument("--metric", default="test_accuracy", help="e.g. test_accuracy, train_loss; default: the first")
    number.add_argument("--network", help="whose committed trainings lend their deviation: report_a, mlp on cifar10")
    number.add_argument("--decays", action="store_true", help="the learning rate decays")
    number.add_argument("--images", type=int, default=10_000, help="size of the evaluation set; default 10000")
    number.add_argument("--best", action="store_true", help="the printed number is a best one: beaten, it is exceeded")
    actions.add_parser("new-study", help="a claims file and a notebook of your own").add_argument("name")
    return parser


def show_ledger(budget: str | None, as_csv: bool) -> str:
    """The ledger of the largest budget whose pages lie here, or of `budget`: as CSV, or its counts."""
    if not (claims := load_claims()):
        raise CourseworkError("notebooks/claims*.yaml hold no claim; see the head of claims.yaml")
    frame = ledger.judged(claims, load_results(budget or trail.largest_budget()))
    return ledger.to_csv(frame) if as_csv else ledger.counts(frame).to_string()


def judge_number(options) -> str:
    """The verdict on `options.printed`, in words. Raises CourseworkError on a value that is none."""
    try:
        parse(options.printed)
        if options.images < 1 or options.printed == "nan" or not all(map(math.isfinite, options.ours)):
            raise ValueError("give finite values and at least one image")
        if spread.is_accuracy(options.metric) and not all(0 <= value <= 1 for value in options.ours):
            raise ValueError("give your accuracies as fractions of 1: 0.86, not 86")
    except ValueError as error:
        raise CourseworkError(f"judge {options.printed}: {error}") from error
    basis = pool.committed()
    prior = basis.prior_of((options.metric, options.network, options.decays))
    sample = judge.Sample(key=f"yours.{options.metric}", values=options.ours, images=options.images, prior=prior)
    verdict = judge.judge_number(SimpleNamespace(value=options.printed, best=options.best), sample)
    lines = [f"{verdict.verdict}: {verdict.reason}"]
    if prior:
        deviation = f"{prior.variance**0.5:.2g} from {prior.pooled:g} degrees of freedom"
        lines.append(f"deviation of {options.network} from run to run: {deviation}")
    else:
        lines.append(f"no committed rows tell the deviation of {options.network or 'this network'}: your seeds alone")
    if verdict.half_width is not None and (doubt := calibration.doubt(basis, "number", sample.key, len(options.ours))):
        lines.append(f"with care: {doubt}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
