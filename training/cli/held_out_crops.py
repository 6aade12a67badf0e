"""`held-out-crops`: the recall of a cascade on figures of cases that it never saw."""

import argparse
from pathlib import Path

from training.cli.arguments import add_held_out_cases, share


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "held-out-crops", help="recall of runs that were trained with --hold-out-cases on the figures of those cases"
    )
    parser.add_argument("cascade", type=Path, help="model.pt of `fit`")
    parser.add_argument("--verifier", type=Path, action="append", default=[], help="model.pt of `fit-verifier`")
    parser.add_argument("--screener", type=Path, help="model.pt of `fit-screening`")
    parser.add_argument("--screening", type=float, required=True, help="Reg-NS score from which Det looks")
    parser.add_argument("--threshold", type=float, required=True, help="probability from which a detection counts")
    parser.add_argument("--figures", type=share, default=0.5, help="share of the crops that show their figure")
    add_held_out_cases(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.data.crops import crops_held_out  # noqa: PLC0415
    from training.data.root import data_root  # noqa: PLC0415
    from training.evaluation.as_served import print_rates  # noqa: PLC0415
    from training.evaluation.elsewhere import recall_of_crops  # noqa: PLC0415
    from training.export.drafts import Remembering, draft_detector  # noqa: PLC0415

    bank = crops_held_out(data_root(), args.hold_out_cases)
    if not len(bank):
        raise ValueError("no case is held out; give --hold-out-cases the share that the runs were trained with")
    cases = len(set(bank.cases.tolist()))
    drafted = draft_detector(args.cascade, args.verifier, args.screener)
    detector = Remembering.of(drafted).at(args.screening, verified=bool(args.verifier))
    print(f"{len(bank)} crops of {cases} cases")
    print_rates(recall_of_crops(detector, bank, threshold=args.threshold, share=args.figures))
