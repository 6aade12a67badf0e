"""All versions that this server can reach, and which of them serve. Start reading here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.registry.composition import add_fused, check_composition
from serving.registry.gates import NOT_JUDGED, GateStore
from serving.registry.model_store import CARD, ModelStore
from serving.registry.provenance import check_licences
from serving.registry.releases import Release, ReleaseStore, State
from serving.registry.shadows import Shadow, ShadowStore
from serving.registry.version import RegistryError, VersionId, parse_label
from serving.registry.version_check import VersionCheck
from serving.registry.version_check_cache import VersionCheckCache, check_in_subprocess
from serving.registry.warming import warm_up
from serving.roles.role import MODEL_ROLES
from serving.scoring.loading import load_release
from serving.scoring.models import version_order
from serving.scoring.onnx_detector import ReleasedDetector
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.errors import NotFoundError

SERVING = "serving"
"""Names the cascade that serves, where two are compared."""


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version as it is listed."""

    name: str
    version: str
    card: ModelCard | None
    fault: str
    """Why the card cannot be read; empty where it can."""
    serves: bool
    retired: bool


class ModelRegistry:
    """The versions that ship, those in the store, and the releases of one database."""

    def __init__(self, settings: ServerSettings, database: Database) -> None:
        self._settings = settings
        cache = settings.state / "model-cache"
        self._shipped = ModelStore(str(settings.models), cache)
        self._store = ModelStore(settings.model_store or f"{settings.objects or settings.state}/models", cache)
        self.releases, self.shadows = ReleaseStore(database), ShadowStore(database)
        self.gates = GateStore(settings, database, self._folders)
        self._checks = VersionCheckCache(settings, database, self._folder)

    def versions(self) -> list[ListedVersion]:
        """Every version, by name, the newest of each first.

        Raises
        ------
        ModelError
            If a place where models lie cannot be reached, or a folder's name is no version.
        """
        serving, retired = {(m.name, m.version) for m in self.serving(required=False)}, self.releases.list_retired()
        listed = []
        for name, version in self._numbers():
            card, fault = None, ""
            try:
                _, card = self.find(name, version)
            except ModelError as error:
                fault = str(error)
            key = (name, version)
            listed.append(ListedVersion(name, version, card, fault, serves=key in serving, retired=key in retired))
        return listed

    def find(self, name: str, version: str) -> tuple[VersionId, ModelCard]:
        """A version and its card.

        Raises
        ------
        NotFoundError
            If there is none.
        ModelError
            If its card cannot be read, or two places hold different ones.
        """
        found = [
            at for model_store in (self._shipped, self._store) if (at := model_store.find(name, version)) is not None
        ]
        if not found:
            raise NotFoundError(
                f"no version {name}@{version} at {self._shipped.address} or {self._store.address}; see MITOSIS_MODELS and "
                "MITOSIS_MODEL_STORE"
            )
        if len({known.digest for known, _ in found}) > 1:
            raise ModelError(
                f"{self._shipped.address} and {self._store.address} hold different models {name}@{version}"
            )
        return found[0]

    def find_labelled(self, label: str) -> tuple[VersionId, ModelCard]:
        """The version that is written like det@1.1.0, and its card; raises as `parse_label` and `find`."""
        return self.find(*parse_label(label))

    def serving(self, *, required: bool = True) -> tuple[VersionId, ...]:
        """What was promoted; before anything was, the newest version of each model.

        Raises
        ------
        ModelError
            If there is nothing to serve; where `required` is false, that is an empty answer.
        """
        release = self.releases.current()
        return self._newest(required=required) if release is None else release.models

    def check(self, models: Sequence[VersionId], *, again: bool = False) -> list[VersionCheck]:
        """What is found of versions on this machine, in a process of their own; what was found before is remembered.

        again : run the checks even so

        Raises
        ------
        RefusedError
            If one may not serve here; the message says why.
        ModelError
            If one is missing, damaged, or not what it was when it was promoted.
        """
        check_licences((self.find(model.name, model.version)[1] for model in models), self._settings.allowed_licences)
        return self._checks.check(models, again=again)

    def locate(self, models: Sequence[VersionId]) -> dict[str, Path]:
        """The folders of versions, by the models' names; raises `ModelError` where one is missing or damaged."""
        return self._folders(tuple(models))

    def load(self, models: Sequence[VersionId]) -> ReleasedDetector:
        """The detector of a release, checked on this machine and warm: its first slide waits for nothing. Raises as `check`."""
        self.check(models)
        detector = load_release(self._folders(tuple(models)), providers=self._settings.providers)
        try:
            warm_up(detector)
        except (
            Exception
        ) as error:  # ONNX Runtime raises types of its own, such as for memory that two cascades do not share
            raise ModelError(f"{', '.join(m.label for m in models)} failed at first use: {error}") from error
        return detector

    def add(self, folder: Path) -> VersionId:
        """Check the version in `folder` and keep it in the store. What serves stays as it is.

        Raises
        ------
        RefusedError
            If it may not serve on this machine.
        RegistryError
            If there is a version of that name and number already.
        ModelError
            If it has no valid card, or the store cannot be written.
        """
        path = folder / CARD
        if not path.is_file():
            raise ModelError(f"no {CARD} in {folder}; give the folder of one version, with its card, graph and sample")
        version, card = VersionId.from_card(path.read_bytes())
        check_licences([card], self._settings.allowed_licences)
        if self._shipped.find(version.name, version.version) is not None:
            raise RegistryError(f"{version.label} ships already; versions never change, choose another number")
        (found,) = check_in_subprocess([folder], self._settings)
        self._pin()
        self._store.put(folder, version)
        self.releases.note(version)
        self._checks.remember(version, found)
        return version

    def cascade(self, labels: Sequence[str]) -> tuple[VersionId, ...]:
        """The release that is named: a version of each model, such as det@1.2.0, or one number that all of them have.

        Raises
        ------
        RegistryError
            If a model of a cascade is missing, one is named twice or of no use, two detectors are named and no ensemble, or one
            that is not the ensemble's.
        RequestError, NotFoundError, ModelError
            As `parse_label` and `find`.
        """
        if len(labels) == 1 and "@" not in labels[0]:
            numbers = self._numbers()
            named_so = MODEL_ROLES.choose([name for name in MODEL_ROLES if (name, labels[0]) in numbers])
            labels = [f"{name}@{labels[0]}" for name in named_so or MODEL_ROLES.required()[:1]]
        labels = add_fused(labels, self.find_labelled)
        named = [self.find_labelled(label)[0] for label in labels]
        check_composition([model.name for model in named])
        check_licences((self.find_labelled(label)[1] for label in labels), self._settings.allowed_licences)
        order = list(MODEL_ROLES)
        return tuple(sorted(named, key=lambda model: order.index(model.name)))

    def promote(
        self, labels: Sequence[str], actor: str, *, golden: Path | None = None, because: str | None = None
    ) -> Release:
        """Check a cascade on this machine, and make it the one that serves; running servers move over by themselves.

        golden : a golden set for its gates, in place of that of the settings; because : why they are not asked

        Raises
        ------
        MitoserveError
            As `cascade`, `check`, `GateStore.check` and `ReleaseStore.want`.
        """
        models = self.cascade(labels)
        self.check(models)
        if because is None:
            self.gates.check(models, self.serving(), golden)
        return self._release(models, actor, tried=True, because=because, golden=golden)

    def want(self, labels: Sequence[str], actor: str, *, because: str | None = None) -> Release:
        """Ask the workers to try a cascade and to move over to it; raises as `cascade` and `ReleaseStore.want`.

        because : why its gates are not asked
        """
        return self._release(self.cascade(labels), actor, tried=False, because=because)

    def try_out(self, release: Release) -> ReleasedDetector:
        """The cascade of a release that waits, loaded, after its gates; raises as `load` and `GateStore.check`."""
        detector = self.load(release.models)
        if release.because is None:
            self.gates.check(release.models, self.serving())
        return detector

    def shadow(self, labels: Sequence[str], share: float, actor: str, *, check: bool = True) -> Shadow:
        """Let a candidate repeat a share of analyses, after a check on this machine unless the workers shall do that.

        Raises
        ------
        MitoserveError
            As `cascade`, `check` and `ShadowStore.start`.
        """
        models = self.cascade(labels)
        if check:
            self.check(models)
        self._pin()
        return self.shadows.start(models, share, actor)

    def complete(self, labels: Sequence[str]) -> tuple[VersionId, ...]:
        """A release of which some versions are named, such as det@1.2.0, or one number of all; what serves does the rest.

        Raises
        ------
        MitoserveError
            As `cascade`, and where nothing serves.
        """
        if labels == [SERVING]:
            return self.serving()
        if any("@" not in label for label in labels):
            return self.cascade(labels)
        labels = add_fused(labels, self.find_labelled)
        named = {self.find_labelled(label)[0].name for label in labels}
        missing = any(name in MODEL_ROLES for name in named) and MODEL_ROLES.missing(named & set(MODEL_ROLES))
        rest = [model.label for model in self.serving() if model.name not in named] if missing else []
        return self.cascade([*labels, *rest])

    def rollback(self, actor: str) -> Release:
        """Check the cascade that the present one replaced, and make it serve again; raises as `check` and `ReleaseStore.back`."""
        self.check(self.releases.former().models)
        return self.releases.back(actor, state="promoted")

    def retire(self, label: str) -> VersionId:
        """Let a version never serve again; raises as `find` and `ReleaseStore.retire`."""
        version, _ = self.find_labelled(label)
        self._pin()
        shadow = self.shadows.running()
        if shadow is not None and version in shadow.models:
            raise RegistryError(f"shadow {shadow.number} runs {version.label}; stop it first")
        self.releases.retire(version)
        return version

    def _release(
        self,
        models: tuple[VersionId, ...],
        actor: str,
        *,
        tried: bool,
        because: str | None,
        golden: Path | None = None,
    ) -> Release:
        self._pin()
        warning = NOT_JUDGED if because is None and self.gates.has_no_golden_set(golden) else ""
        state: State = "promoted" if tried else "wanted"
        return self.releases.want(models, actor, state=state, because=because, detail=warning)

    def _pin(self) -> None:
        """Write down what serves by default, so that nothing that is added changes it."""
        if default := self._newest(required=False):
            self.releases.pin(default)

    def _newest(self, *, required: bool) -> tuple[VersionId, ...]:
        found: dict[str, str] = {}
        for name, version in self._numbers():
            found.setdefault(name, version)
        if fusing := [name for name in MODEL_ROLES if name in found and MODEL_ROLES[name].fuses]:
            beside = [name for name in MODEL_ROLES if name in found and MODEL_ROLES[name].beside]
            return self.cascade([f"{name}@{found[name]}" for name in (*fusing, *beside)])
        chosen = MODEL_ROLES.choose(found)
        if missing := MODEL_ROLES.missing(chosen):
            if not required:
                return ()
            raise ModelError(
                f"no model {missing[0]!r} in {self._shipped.address}; set MITOSIS_MODELS to a folder of "
                "<name>/<version>/card.json"
            )
        return tuple(self.find(name, found[name])[0] for name in chosen)

    def _numbers(self) -> list[tuple[str, str]]:
        """(name, version) of every folder with a card, by name, the newest first."""
        numbers = {number for model_store in (self._shipped, self._store) for number in model_store.numbers()}
        newest_first = sorted(numbers, key=lambda number: version_order(number[1]), reverse=True)
        return sorted(newest_first, key=lambda number: number[0])

    def _folders(self, models: tuple[VersionId, ...]) -> dict[str, Path]:
        return {model.name: self._folder(model) for model in models}

    def _folder(self, wanted: VersionId) -> Path:
        found, _ = self.find(wanted.name, wanted.version)
        if found != wanted:
            raise ModelError(
                f"{wanted.label} is not what was promoted: its card had SHA-256 {wanted.digest[:12]}..., now "
                f"{found.digest[:12]}...; restore it"
            )
        model_store = self._shipped if self._shipped.find(wanted.name, wanted.version) else self._store
        return model_store.folder(wanted)
