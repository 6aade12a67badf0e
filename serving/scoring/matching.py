"""One-to-one matching of detections with labelled figures."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

MATCH_RADIUS_UM = 7.5
"""The radius of the MIDOG and ICPR challenges' rules, 30 px at 0.25 um/px."""


def match_centres(predicted: NDArray[np.floating], true: NDArray[np.floating], radius: float) -> list[tuple[int, int]]:
    """The largest set of (predicted, true) pairs within `radius` in which nobody appears twice.

    predicted, true : float, shape (N, 2) and (M, 2), (x, y) in one frame; radius in the same unit
    """
    if not len(predicted) or not len(true):
        return []
    near = cKDTree(predicted).query_ball_tree(cKDTree(true), radius)
    rows = np.repeat(np.arange(len(predicted)), [len(n) for n in near])
    columns = np.asarray([j for n in near for j in n], np.intp)
    graph = csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(predicted), len(true)))
    partner = maximum_bipartite_matching(graph, perm_type="column")
    return [(i, int(j)) for i, j in enumerate(partner) if j >= 0]
