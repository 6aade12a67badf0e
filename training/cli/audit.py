"""`audit`: experts look at a random sample of labelled tiles, and their answers become figures and corrections."""

import argparse
from pathlib import Path

from serving.wsi.modelcard import RESEARCH_USE
from training.data.store import read_store, write_store
from training.labels.audit.answers import read_audit
from training.labels.audit.drawn import draw_audit
from training.labels.audit.sheet import ANSWERS_FILE, write_sheet


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its two steps."""
    parser = commands.add_parser("audit", help="let experts confirm, reject and add boxes in a random sample")
    steps = parser.add_subparsers(dest="step", required=True)

    draw = steps.add_parser("draw", help="draw tiles and write a sheet to fill in")
    draw.add_argument("store", type=Path, help="JSON file of labelled pictures")
    draw.add_argument("--tiles", type=int, default=500, help="of 1,000 px; 500 as in the paper")
    draw.add_argument("--seed", type=int, default=0)
    draw.add_argument("--out", type=Path, required=True, help="folder for the sheet")
    draw.set_defaults(run=_draw)

    read = steps.add_parser("read", help="read the filled sheet")
    read.add_argument("folder", type=Path, help="the sheet's folder")
    read.add_argument("--out", type=Path, help="JSON file for the corrected data set")
    read.set_defaults(run=_read)


def _draw(args: argparse.Namespace) -> None:
    dataset = read_store(args.store)
    audit = draw_audit(dataset, args.store, tiles=args.tiles, seed=args.seed)
    write_sheet(audit, dataset, args.out)
    boxes = sum(len(tile.boxes) for tile in audit.tiles)
    print(f"drew {len(audit.tiles):,} tiles with {boxes:,} boxes")
    print(f"open {args.out / 'sheet.html'}, fill in {args.out / ANSWERS_FILE}, then: audit read {args.out}")
    print(RESEARCH_USE)


def _read(args: argparse.Namespace) -> None:
    result, dataset = read_audit(args.folder)
    print("\n".join([*result.lines(), RESEARCH_USE]))
    if args.out is not None:
        write_store(dataset, args.out)
        print(f"wrote {args.out}")
