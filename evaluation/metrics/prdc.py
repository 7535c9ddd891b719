"""Fidelity and diversity apart: precision and recall, density and coverage, from balls to the nearest neighbours.

Every picture is compared with every other in float32, whose products are twice as fast, and with a bound on what that
rounds: what the bound leaves open, at the border of a ball, is computed again in float64. So the values are those of
float64 throughout. Distances within a set are computed once for both pictures of a pair, and a block of them at a time
is in memory.
"""

from dataclasses import dataclass

import numpy as np
import torch

BLOCK = 2048
GATHERED = 2048  # pairs whose features are held at once, where they are computed again
PRECISION_NEIGHBOURS = 3  # Kynkäänniemi et al., arXiv 1904.06991
DENSITY_NEIGHBOURS = 5  # Naeem et al., arXiv 2002.09797
CANDIDATES = 8  # for the nearest five, of which exact distances are taken
HALF, EXACT = 2.0**-24, 2.0**-52  # how far float32 may round, relative to a number, and how far apart doubles lie


@dataclass(frozen=True)
class Manifold:
    """One value for each picture that was asked about, in the order of the pictures; the measures are the means.

    `precision` and `density` are asked of the pictures, `recall` and `coverage` of the reference. What these two would
    be without each group of pictures, (groups,), is told where groups were given: of recall by the balls as they are.
    """

    precision: np.ndarray  # does the picture lie in a ball of the reference?
    recall: np.ndarray  # does the reference picture lie in a ball of the pictures?
    density: np.ndarray  # in how many balls of the reference does it lie, over the neighbours
    coverage: np.ndarray  # does any picture lie in the reference picture's ball?
    recall_without: np.ndarray | None = None
    coverage_without: np.ndarray | None = None


def measure(
    pictures: np.ndarray,
    reference: np.ndarray,
    reference_radii: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Manifold:
    """Measure features (n, d) of the pictures against (m, d) of the reference; ValueError for too few of them.

    `reference_radii` are `radii` of the reference, where they are known already; `groups` (n,) are numbers from 0.

    A ball reaches to the k-th nearest of the own set, itself not counted. Precision and recall count its border as
    inside, density and coverage do not, each as published. What differs from a border by no more than rounding lies on
    it: a copy has the distance 0 and other distances of its original, whatever the processor makes of them.
    """
    least = DENSITY_NEIGHBOURS + 1
    if min(len(pictures), len(reference)) < least:
        raise ValueError(f"Density and coverage need at least {least} pictures on each side.")
    rounding = 4 * (pictures.shape[1] + 8) * EXACT
    around = radii(pictures)[0] * (1 + rounding)
    near, far = radii(reference) if reference_radii is None else reference_radii
    near, far = near * (1 + rounding), far * (1 - rounding)
    centre = _centre(reference)
    ours, theirs = _Side.of(pictures, centre), _Side.of(reference, centre)
    reach = [torch.from_numpy(limit * (1 + 1e-6)).float() for limit in (around, np.maximum(near, far))]
    group = np.zeros(len(pictures), dtype=int) if groups is None else groups
    precise, dense = np.zeros(len(pictures)), np.zeros(len(pictures))
    # In how many balls of each group of pictures a reference picture lies, and how many of each lie in its own.
    recalled, covered = np.zeros((2, len(reference), int(group.max()) + 1), dtype=np.int32)
    for i in range(0, len(pictures), BLOCK):
        for j in range(0, len(reference), BLOCK):
            lowest = ours.lowest(theirs, i, j)
            close = (lowest <= reach[0][i : i + BLOCK, None]).logical_or_(lowest <= reach[1][j : j + BLOCK])
            a, b = close.nonzero(as_tuple=True)
            low = lowest[a, b].double().numpy()
            a, b = a.numpy() + i, b.numpy() + j
            distances = _settled(ours, theirs, a, b, low, (near[b], around[a], far[b]))
            precise[a[distances <= near[b]]] = 1
            within, inside = distances <= around[a], distances < far[b]
            np.add.at(recalled, (b[within], group[a[within]]), 1)
            np.add.at(covered, (b[inside], group[a[inside]]), 1)
            dense += np.bincount(a[inside], minlength=len(dense)) / DENSITY_NEIGHBOURS
    of_both = [(counts.sum(1) > 0).astype(float) for counts in (recalled, covered)]
    if groups is None:
        return Manifold(precise, of_both[0], dense, of_both[1])
    without = [(counts.sum(1)[:, None] > counts).mean(0) for counts in (recalled, covered)]
    return Manifold(precise, of_both[0], dense, of_both[1], *without)


def radii(features: np.ndarray) -> np.ndarray:
    """Return (2, n): every row's squared distance to its third and to its fifth nearest other row."""
    side = _Side.of(features, _centre(features))
    lowest = torch.full((len(features), CANDIDATES), torch.inf)
    places = torch.zeros((len(features), CANDIDATES), dtype=torch.int64)
    for i in range(0, len(features), BLOCK):
        for j in range(0, i + 1, BLOCK):  # the rest follows by symmetry
            block = side.lowest(side, i, j)
            if i == j:
                block.fill_diagonal_(torch.inf)
            else:
                _keep_nearest(lowest[j : j + BLOCK], places[j : j + BLOCK], block.T.contiguous(), i)
            _keep_nearest(lowest[i : i + BLOCK], places[i : i + BLOCK], block, j)
    nearest = _sorted_distances(side, lowest.double().numpy(), places.numpy())
    # No row that is no candidate can be nearer than the last of these may be at least.
    unsure = nearest[:, DENSITY_NEIGHBOURS - 1] > np.maximum(lowest[:, -1].numpy(), 0)
    for rows in np.split(np.flatnonzero(unsure), range(BLOCK, int(unsure.sum()), BLOCK)):
        if len(rows):
            nearest[rows] = _nearest_in_doubles(features, rows)
    return np.stack([nearest[:, PRECISION_NEIGHBOURS - 1], nearest[:, DENSITY_NEIGHBOURS - 1]])


@dataclass(frozen=True, eq=False)
class _Side:
    """Features (n, d), the same about a common centre in float32, and the squared lengths of these, float64."""

    features: np.ndarray
    rows: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def of(cls, features: np.ndarray, centre: np.ndarray) -> "_Side":
        rows, squares = torch.empty(features.shape), torch.empty(len(features), dtype=torch.float64)
        for start in range(0, len(features), BLOCK):
            block = _about(centre, features[start : start + BLOCK])
            rows[start : start + BLOCK] = block
            squares[start : start + BLOCK] = block.square().sum(1)
        if not squares.isfinite().all():
            raise ValueError("Some features are not finite numbers: the network's weights or a picture are damaged.")
        return cls(features, rows, squares)

    @property
    def error(self) -> float:
        """Return how far a squared distance may be off, relative to the sum of both squared lengths.

        A product of d terms in float32 is within d roundings of the right one (Higham 2002, section 3.1).
        """
        return (self.rows.shape[1] + 16) * HALF

    def lowest(self, other: "_Side", i: int, j: int) -> torch.Tensor:
        """Return what the squared distances of a block of rows and one of the other's are at least, float32."""
        mine, theirs = slice(i, i + BLOCK), slice(j, j + BLOCK)
        lengths = ((1 - self.error) * other.squares[theirs]).float()
        found = torch.addmm(lengths, self.rows[mine], other.rows[theirs].T, alpha=-2)
        return found.add_(((1 - self.error) * self.squares[mine]).float()[:, None])


def _centre(features: np.ndarray) -> np.ndarray:
    """Return the mean (d,), about which numbers are small and round little."""
    return np.asarray(features.mean(0, dtype=np.float64))


def _about(centre: np.ndarray, features: np.ndarray) -> torch.Tensor:
    """Return some rows about the centre, float64."""
    return torch.from_numpy(np.asarray(features, dtype=np.float64) - centre)


def _keep_nearest(lowest: torch.Tensor, places: torch.Tensor, block: torch.Tensor, first: int) -> None:
    """Put the least of a block of rows into the candidates so far, and where they are."""
    found, where = block.topk(min(CANDIDATES, block.shape[1]), dim=1, largest=False)
    kept, order = torch.cat([lowest, found], 1).topk(CANDIDATES, dim=1, largest=False)
    lowest[:], places[:] = kept, torch.cat([places, where + first], 1).gather(1, order)


def _sorted_distances(side: _Side, lowest: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the squared distances of each row to its candidates, the least first; infinite where there is none.

    The third and the fifth are exact: so are all that may be one of these, as far as the bounds tell.
    """
    squares = side.squares.numpy()
    found = lowest + 2 * side.error * (squares[:, None] + squares[places])
    least, most = np.sort(lowest, axis=1), np.sort(found, axis=1)
    asked = np.zeros(found.shape, dtype=bool)
    for rank in (PRECISION_NEIGHBOURS - 1, DENSITY_NEIGHBOURS - 1):
        asked |= (lowest <= most[:, [rank]]) & (found >= least[:, [rank]])
    of, candidate = np.nonzero(asked & np.isfinite(found))
    found[of, candidate] = _exact(side.features, of, side.features, places[of, candidate])
    return np.sort(found, axis=1)


def _nearest_in_doubles(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the squared distances of some rows to their candidates by products in float64, the least first."""
    centre = _centre(features)
    own = _about(centre, features[rows])
    lowest = torch.full((len(rows), CANDIDATES), torch.inf, dtype=torch.float64)
    places = torch.zeros((len(rows), CANDIDATES), dtype=torch.int64)
    for j in range(0, len(features), BLOCK):
        others = _about(centre, features[j : j + BLOCK])
        block = own.square().sum(1)[:, None] + others.square().sum(1) - 2 * own @ others.T
        itself = (rows >= j) & (rows < j + BLOCK)
        block[np.flatnonzero(itself), rows[itself] - j] = torch.inf
        _keep_nearest(lowest, places, block, j)
    found = _exact(features, np.repeat(rows, CANDIDATES), features, places.numpy().reshape(-1))
    return np.sort(np.where(lowest.isinf().numpy(), np.inf, found.reshape(len(rows), CANDIDATES)), axis=1)


def _settled(
    ours: _Side, theirs: _Side, a: np.ndarray, b: np.ndarray, low: np.ndarray, limits: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Return squared distances of pairs (k,) that lie on the right side of all limits (k,).

    `low` is what they are at least. Only where a limit lies between that and what they are at most are they exact.
    """
    squares = ours.squares.numpy()[a] + theirs.squares.numpy()[b]
    found = low + 2 * ours.error * squares
    unsure = np.zeros(len(low), dtype=bool)
    for limit in limits:
        unsure |= (low <= limit) & (found >= limit)
    found[unsure] = _exact(ours.features, a[unsure], theirs.features, b[unsure])
    return found


def _exact(x: np.ndarray, of_x: np.ndarray, y: np.ndarray, of_y: np.ndarray) -> np.ndarray:
    """Return the squared distances (k,) of rows of x and of y, float64: the same for both ways round."""
    found = np.empty(len(of_x))
    for start in range(0, len(of_x), GATHERED):
        some = slice(start, start + GATHERED)
        apart = np.asarray(x[of_x[some]], dtype=np.float64) - y[of_y[some]]
        found[some] = np.square(apart, out=apart).sum(1)
    return found
