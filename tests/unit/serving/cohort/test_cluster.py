"""Starting Ray, without Ray: what it is asked, and what becomes of a start that fails."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serving.cohort.cluster import TRIES, Resources, cluster
from serving.cohort.errors import CohortError


class FakeRay(SimpleNamespace):
    """Fails as often as it is told; each start leaves a process, as Ray's does."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__(failures=failures, asked=[], ended=0, left=[])

    def init(self, **asked: Any) -> None:
        self.asked.append(asked)
        if "_temp_dir" in asked:
            command = [sys.executable, "-c", "print(flush=True); input()", asked["_temp_dir"]]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            assert process.stdout is not None
            process.stdout.readline()  # it has begun, and its arguments can be seen
            self.left.append(process)
        if len(self.asked) <= self.failures:
            raise RuntimeError("The current node timed out during startup.\nand a page of detail")

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}},
            {"Alive": True, "Resources": {"CPU": 8.0}},
            {"Alive": False, "Resources": {"CPU": 64.0}},
        ]

    def shutdown(self) -> None:
        self.ended += 1


def wait_for_end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and let go of its pipes."""
    process.kill()
    process.communicate()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return monkeypatch


def test_a_cluster_of_this_machine_s_own_is_ended(environment: pytest.MonkeyPatch) -> None:
    ray = FakeRay()
    environment.setitem(sys.modules, "ray", ray)
    with cluster(None, cpus=3) as found:
        assert found == Resources(cpus=24, gpus=2, nodes=2, largest_cpus=16, cpus_per_gpu=8)
        (asked,) = ray.asked
        assert (asked["address"], asked["num_cpus"], asked["include_dashboard"]) == ("local", 3, False)
        folder = Path(asked["_temp_dir"])
        assert folder.is_dir()
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert ray.ended == 1
    assert not folder.exists()
    wait_for_end(ray.left[0])


def test_a_start_that_fails_is_tried_again_and_leaves_nothing(environment: pytest.MonkeyPatch) -> None:
    ray = FakeRay(failures=1)
    environment.setitem(sys.modules, "ray", ray)
    with cluster(None, cpus=1):
        assert len(ray.asked) == 2
        assert ray.left[0].poll() is not None
        assert ray.left[1].poll() is None
    for process in ray.left:
        wait_for_end(process)
    ray = FakeRay(failures=TRIES)
    environment.setitem(sys.modules, "ray", ray)
    with (
        pytest.raises(CohortError, match=r"a cluster on this machine cannot be used: .*during startup\.$"),
        cluster(None, cpus=1),
    ):
        pass
    assert all(process.poll() is not None for process in ray.left)
    for process in ray.left:
        wait_for_end(process)


def test_a_cluster_that_is_there_is_asked_once(environment: pytest.MonkeyPatch) -> None:
    ray = FakeRay(failures=1)
    environment.setitem(sys.modules, "ray", ray)
    with pytest.raises(CohortError, match="the cluster at head:6379 cannot be used"), cluster("head:6379", cpus=1):
        pass
    (asked,) = ray.asked
    assert asked["address"] == "head:6379"
    assert "num_cpus" not in asked


def test_ray_is_an_extra(environment: pytest.MonkeyPatch) -> None:
    environment.setitem(sys.modules, "ray", None)
    with pytest.raises(CohortError, match=r"pip install 'mitoserve\[cohort\]'"), cluster(None, cpus=1):
        pass
