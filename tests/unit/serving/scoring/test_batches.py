import numpy as np
import pytest
from numpy.typing import NDArray

from serving.scoring.batch_sizes import run_in_batches


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 32, 33, 70])
def test_batches_have_two_sizes_and_give_what_each_window_gives_alone(count: int) -> None:
    sizes: list[int] = []

    def run(batch: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
        sizes.append(len(batch))
        return [batch.astype(np.float32).mean(1), batch[:, :1]]

    windows = np.random.default_rng(count).integers(0, 256, (count, 5), dtype=np.uint8)
    means, firsts = run_in_batches(windows, run, 32)
    np.testing.assert_array_equal(means, windows.astype(np.float32).mean(1))
    np.testing.assert_array_equal(firsts, windows[:, :1])
    assert set(sizes) <= {8, 32}
    assert sum(sizes) < count + 32
