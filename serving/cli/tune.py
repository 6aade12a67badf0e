"""`mitoserve tune`: finds how many threads are fastest on this machine."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from serving.console import open_console, open_table
from serving.core.errors import MitoserveError, ModelError
from serving.roles.role import MODEL_ROLES
from serving.scoring.batch_sizes import GPU_PROVIDERS, use_cores
from serving.scoring.detector import OneStageDetector, list_members
from serving.scoring.loading import load_release, load_screener
from serving.scoring.models import newest_release
from serving.scoring.sessions import choose_providers
from serving.scoring.tiling import TILE_PX
from serving.scoring.tuning import candidates, noise_tile, tune
from serving.settings import ServerSettings, SettingsError

_out = open_console()
_err = open_console(stderr=True)


@click.command("tune")
@click.option("--provider", multiple=True, help="As for `score`; by default what scores here.")
def tune_threads(*, provider: tuple[str, ...]) -> None:
    """Measure how many threads compute fastest on this machine, and use that many from now on.

    Takes a minute. Do it while nothing else runs here, and again after a change of the machine.
    """
    try:
        settings = ServerSettings.from_environment()
        chosen = choose_providers(provider or settings.providers)
        if chosen[0] in GPU_PROVIDERS:
            raise click.UsageError(f"{chosen[0]} computes on a GPU: there is no number of threads to find")
        folders = newest_release(settings.models)

        def opened(threads: int) -> Callable[[], object]:
            use_cores(threads)
            return _open_first(folders, chosen)

        with _err.status("measuring"):
            found = tune(chosen[0], opened, candidates())
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except (MitoserveError, OSError) as error:
        raise click.ClickException(str(error)) from error
    table = open_table("threads", "seconds a tile", "")
    for threads, seconds in found.seconds.items():
        table.add_row(str(threads), f"{seconds:.2f}", "used from now on" if threads == found.threads else "")
    _out.print(table)


def _open_first(folders: Mapping[str, Path], providers: Sequence[str]) -> Callable[[], object]:
    """What computes a tile with the model that sees all of a slide, or a window with a one-stage detector."""
    screening = MODEL_ROLES.cascade()["screening"]
    if screening in folders:
        screener, tile = load_screener(folders[screening], providers=providers), noise_tile(TILE_PX + 125)
        return lambda: screener.screen(tile)
    detector = next(iter(list_members(load_release(folders, providers=providers)).values()))
    if not isinstance(detector, OneStageDetector):
        raise ModelError(f"there is no model to measure with among {', '.join(folders)}")
    window = noise_tile(detector.card.input.window_px)
    return lambda: detector.find(window)
