"""The sanity check (Adebayo et al. 2018, arXiv:1810.03292): a map must change when the network forgets what it learned.

The weights before the explained layer are permuted, each tensor by itself. A map that stays the same shows the image's
edges, or the network's architecture, not what was learned. The map compared is that of the changed network's own best
class, because for the class of before there is mostly no evidence left, and its map is empty. The weights behind the
layer stay, because the file holds some of them twice, for the answer and for the explanation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycam.stream.measure.network import Heat


def similarity(heat: Heat, other: Heat) -> float:
    """Spearman's rank correlation of two maps, −1…1; 0 if one has no differences. Needs SciPy."""
    from scipy.stats import rankdata

    a, b = (_centred(rankdata(each)) for each in (heat, other))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def _centred(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = ranks.ravel()
    return np.asarray(flat - flat.mean(), np.float64)
