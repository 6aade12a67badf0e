"""Which versions there are and which serve: adding, promoting, going back, retiring; what never changes and what does."""

import os
import platform
from pathlib import Path

import numpy as np
import pytest

from serving.core.errors import ModelError, RequestError
from serving.registry import version_check_cache
from serving.registry.registry import ModelRegistry
from serving.registry.version import RegistryError, VersionRefusedError
from serving.scoring.detector import list_cards
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.errors import NotFoundError
from tests.quick_models import restate, write_quick_models

NEW = 30.0
"""Scale of other versions' scores."""


def labels(registry: ModelRegistry) -> list[str]:
    return [model.label for model in registry.serving()]


def add(registry: ModelRegistry, folder: Path, version: str) -> None:
    write_quick_models(folder, version, scale=NEW)
    for name in ("reg-ns", "det"):
        registry.add(folder / name / version)


def test_the_newest_serves_until_something_was_promoted(registry: ModelRegistry, settings: ServerSettings) -> None:
    assert labels(registry) == ["reg-ns@0.0.1", "det@0.0.1"]
    write_quick_models(settings.models, "0.0.10")
    write_quick_models(settings.models, "0.0.9")
    assert labels(registry) == ["reg-ns@0.0.10", "det@0.0.10"]
    assert [(row.name, row.version, row.serves) for row in registry.versions()[:3]] == [
        ("det", "0.0.10", True),
        ("det", "0.0.9", False),
        ("det", "0.0.1", False),
    ]


def test_promote_and_go_back(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path / "new", "0.2")
    assert labels(registry) == ["reg-ns@0.0.1", "det@0.0.1"], "adding changes nothing"
    release = registry.promote(["0.2"], "ann")
    assert (release.state, release.actor) == ("promoted", "ann")
    assert labels(registry) == ["reg-ns@0.2", "det@0.2"]
    registry.promote(["det@0.0.1", "reg-ns@0.2"], "ann")
    assert labels(registry) == ["reg-ns@0.2", "det@0.0.1"]
    registry.rollback("bob")
    assert labels(registry) == ["reg-ns@0.2", "det@0.2"]
    registry.rollback("bob")
    assert labels(registry) == ["reg-ns@0.0.1", "det@0.0.1"]
    with pytest.raises(RegistryError, match="no earlier release"):
        registry.rollback("bob")
    assert [release.actor for release in registry.releases.latest()] == ["bob", "bob", "ann", "ann", "default"]


def test_a_release_that_waits_is_given_up_for_another(registry: ModelRegistry) -> None:
    first, second = (registry.want(["0.0.1"], "ann") for _ in range(2))
    wanted, promoted = registry.releases.look()
    assert (wanted, promoted) == (second, registry.releases.get(1))
    assert registry.releases.get(first.number).detail.startswith("another release was asked for")
    assert not registry.releases.settle(first.number)
    assert registry.releases.settle(second.number)
    assert not registry.releases.settle(second.number, refused="too late")
    assert registry.releases.look() == (None, registry.releases.get(second.number))


def test_a_cascade_is_named_whole(registry: ModelRegistry) -> None:
    for wrong, reason in (
        (["det@0.0.1"], "a cascade needs reg-ns too"),
        (["det@0.0.1", "reg-ns@0.0.1", "det@0.0.1"], "named twice"),
    ):
        with pytest.raises(RegistryError, match=reason):
            registry.promote(wrong, "ann")
    with pytest.raises(NotFoundError, match=r"no version reg-ns@7"):
        registry.promote(["7"], "ann")
    with pytest.raises(RequestError, match=r"write it like det@1\.1\.0"):
        registry.promote(["det@../../1", "x"], "ann")


def test_versions_never_change(registry: ModelRegistry, settings: ServerSettings, tmp_path: Path) -> None:
    add(registry, tmp_path / "new", "0.2")
    with pytest.raises(RegistryError, match="versions never change, choose another number"):
        registry.add(tmp_path / "new" / "det" / "0.2")
    with pytest.raises(RegistryError, match="ships already"):
        registry.add(settings.models / "det" / "0.0.1")
    registry.promote(["0.2"], "ann")
    stored = settings.state / "models" / "det" / "0.2"
    _, card = registry.find("det", "0.2")
    restate(stored, card.model_copy(update={"limits": ["another card"]}))
    with pytest.raises(ModelError, match=r"det@0.2 is not what was promoted"):
        registry.load(registry.serving())
    with pytest.raises(RegistryError, match=r"det@0.2 is not what it was"):
        registry.promote(["0.2"], "ann")


def test_what_may_not_serve_is_neither_kept_nor_promoted(
    registry: ModelRegistry, tmp_path: Path, settings: ServerSettings
) -> None:
    folder = write_quick_models(tmp_path / "bad", "0.3") / "det" / "0.3"
    with np.load(folder / "parity.npz") as sample:
        np.savez(folder / "parity.npz", **{**sample, "probabilities": sample["probabilities"] * np.float32(0.9)})
    _, card = registry.find("det", "0.0.1")
    restate(folder, card.model_copy(update={"version": "0.3"}))
    with pytest.raises(VersionRefusedError, match=r"det 0.3 fails parity here"):
        registry.add(folder)
    assert not (settings.state / "models" / "det").exists()
    write_quick_models(settings.models, "0.3")
    os.replace(folder / "card.json", settings.models / "det" / "0.3" / "card.json")
    os.replace(folder / "parity.npz", settings.models / "det" / "0.3" / "parity.npz")
    with pytest.raises(VersionRefusedError, match="fails parity here"):
        registry.promote(["0.3"], "ann")
    assert registry.releases.latest() == [] or labels(registry) == ["reg-ns@0.0.1", "det@0.0.1"]


def test_a_version_is_checked_once_a_machine(registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry.check(registry.serving())
    monkeypatch.setattr(version_check_cache, "check_in_subprocess", lambda *_: pytest.fail("it was checked again"))
    assert registry.check(registry.serving()) == found
    monkeypatch.setattr(platform, "node", lambda: "another machine")
    with pytest.raises(pytest.fail.Exception):
        registry.check(registry.serving())


def test_retired_versions_do_not_serve_again(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path / "new", "0.2")
    with pytest.raises(RegistryError, match=r"det@0.0.1 serves"):
        registry.retire("det@0.0.1")
    registry.promote(["0.2"], "ann")
    registry.retire("det@0.0.1")
    with pytest.raises(RegistryError, match=r"det@0\.0\.1 is retired"):
        registry.promote(["0.0.1"], "ann")
    with pytest.raises(RegistryError, match=r"det@0\.0\.1 is retired"):
        registry.rollback("ann")
    assert [row.retired for row in registry.versions() if row.name == "det"] == [False, True]
    assert list_cards(registry.load(registry.serving()))[1].version == "0.2"


def test_a_crash_of_the_check_is_a_refusal(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The checking process dies as a runtime does on a graph that it cannot bear."""
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nif 'serving.registry' in sys.orig_argv: os.abort()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(VersionRefusedError, match=r"the check of reg-ns@0\.0\.1 ended its process \(status -6\)"):
        registry.check(registry.serving())


def test_a_broken_card_is_listed_with_its_fault(registry: ModelRegistry, settings: ServerSettings) -> None:
    write_quick_models(settings.models, "0.0.0")
    (settings.models / "det" / "0.0.0" / "card.json").write_text("{}")
    assert labels(registry) == ["reg-ns@0.0.1", "det@0.0.1"]
    (row,) = [row for row in registry.versions() if (row.name, row.version) == ("det", "0.0.0")]
    assert "not a valid model card" in row.fault


def test_an_unreachable_store_says_where(settings: ServerSettings, database: Database) -> None:
    registry = ModelRegistry(settings.model_copy(update={"model_store": "nonsense://bucket"}), database)
    with pytest.raises(ModelError, match=r"the models at nonsense://bucket cannot be reached"):
        registry.versions()
