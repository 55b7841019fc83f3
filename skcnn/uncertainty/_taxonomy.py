"""Ranks of a taxonomy: probabilities of genera and families from those of species."""

from collections.abc import Iterable, Iterator, Mapping, Set

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn.uncertainty._checks import check_classes, check_fraction, check_probabilities


class Taxonomy:
    """Ranks above the labels of a classifier, such as the genus and family of each species.

    Parameters
    ----------
    ranks : DataFrame or mapping
        A DataFrame has a row per label, with the labels as its index, and a column per rank, from
        the finest to the coarsest. A mapping from label to group is a taxonomy of one rank.
    name : str, default="group"
        Name of the rank of a mapping.

    Attributes
    ----------
    table : DataFrame
        The ranks of each label.

    Raises
    ------
    ValueError
        If a label or the name of a rank is there twice, a rank is named "label", a group is
        missing, or a group of a finer rank is in two groups of a coarser one.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.uncertainty import Taxonomy
    >>> taxonomy = Taxonomy(
    ...     pd.DataFrame(
    ...         {"genus": ["Vulpes", "Vulpes", "Lepus"], "class": ["Mammalia"] * 3},
    ...         index=["Vulpes vulpes", "Vulpes lagopus", "Lepus timidus"],
    ...     )
    ... )
    >>> proba = [[0.5, 0.4, 0.1]]
    >>> species = ["Vulpes vulpes", "Vulpes lagopus", "Lepus timidus"]
    >>> taxonomy.roll_up(proba, species, "genus")
       Lepus  Vulpes
    0    0.1     0.9
    >>> taxonomy.predict_as_finely(proba, species, probability=0.8)
        label   rank  probability
    0  Vulpes  genus          0.9
    """

    def __init__(self, ranks: pd.DataFrame | Mapping[object, object], name: str = "group") -> None:
        if isinstance(ranks, pd.DataFrame):
            table = ranks.copy()
        else:
            table = pd.DataFrame({name: pd.Series(dict(ranks), dtype=object)})
        twice = table.index[table.index.duplicated()]
        if len(twice):
            raise ValueError(
                f"ranks has the label {twice[0]!r} twice. Expected one row per label."
            )
        if table.empty:
            raise ValueError("ranks is empty. Expected a row per label and a column per rank.")
        ranks_twice = table.columns[table.columns.duplicated()]
        if len(ranks_twice):
            raise ValueError(
                f"ranks has the column {ranks_twice[0]!r} twice. Expected a name of its own for "
                "each rank."
            )
        if "label" in table.columns:
            raise ValueError(
                'A rank is named "label", which is the name of the rank of the labels themselves '
                "in the answers of predict_as_finely. Rename it."
            )
        missing = table.isna()
        if missing.to_numpy().any():
            label, rank = missing.stack().loc[lambda m: m].index[0]
            raise ValueError(f"The label {label!r} has no {rank}. Expected one for each label.")
        for rank in table.columns:
            text = [isinstance(group, str) for group in table[rank].tolist()]
            if any(text) and not all(text):
                raise ValueError(
                    f"{rank} holds text and other values. Expected names of one type: convert "
                    "them, for example with str."
                )
        for finer, coarser in zip(table.columns, table.columns[1:]):
            parents = table.groupby(finer, observed=True)[coarser].nunique()
            if (parents > 1).any():
                raise ValueError(
                    f"{finer} {parents.index[parents > 1][0]!r} is in more than one {coarser}. "
                    "Expected columns from the finest rank to the coarsest."
                )
        self.table = table

    def roll_up(
        self, proba: npt.ArrayLike, classes: npt.ArrayLike, rank: str | None = None
    ) -> pd.DataFrame:
        """Sum the probabilities of the labels in each group.

        Parameters
        ----------
        proba : array-like of shape (n, n_classes)
            Probabilities of labels.
        classes : array-like of shape (n_classes,)
            Label of each column, such as ``clf.classes_``.
        rank : str, default=None
            Name of a rank. None takes the finest.

        Returns
        -------
        proba : DataFrame of shape (n, n_groups)
            The groups are the columns, in ascending order.

        Raises
        ------
        ValueError
            If there is no such rank, or a class has no row in the taxonomy.
        """
        probabilities = check_probabilities(proba)
        names = check_classes(classes, None, probabilities.shape[1])
        groups = self._groups(names, self._check_rank(rank))
        columns, codes = np.unique(groups, return_inverse=True)
        member = np.zeros((len(groups), len(columns)))
        member[np.arange(len(groups)), codes] = 1
        return pd.DataFrame(probabilities @ member, columns=columns)

    def predict(
        self, proba: npt.ArrayLike, classes: npt.ArrayLike, rank: str | None = None
    ) -> npt.NDArray[np.generic]:
        """Return the likeliest group of each image.

        That need not be the group of the likeliest label: three species of one genus may be
        likelier together than one of another.

        Parameters
        ----------
        proba, classes, rank
            As in `roll_up`.

        Returns
        -------
        groups : ndarray of shape (n,)
        """
        rolled = self.roll_up(proba, classes, rank)
        groups: npt.NDArray[np.generic] = np.asarray(rolled.columns)
        return np.asarray(groups[rolled.to_numpy().argmax(axis=1)])

    def predict_as_finely(
        self, proba: npt.ArrayLike, classes: npt.ArrayLike, *, probability: float = 0.8
    ) -> pd.DataFrame:
        """Answer for each image at the finest rank that is likely enough.

        Parameters
        ----------
        proba, classes
            As in `roll_up`.
        probability : float, default=0.8
            Probability in (0, 1) that an answer must have.

        Returns
        -------
        answers : DataFrame
            `label`, its `rank` ("label" for labels themselves), and its `probability`. Where not
            even the coarsest rank is likely enough, the label is missing, the rank is empty, and
            the probability is that of the likeliest group of the coarsest rank.
        """
        check_fraction(probability, "probability")
        probabilities = check_probabilities(proba)
        names = check_classes(classes, None, probabilities.shape[1])
        labels = np.full(len(probabilities), None, dtype=object)
        ranks = np.full(len(probabilities), "", dtype=object)
        highest = np.zeros(len(probabilities))
        levels = {"label": pd.DataFrame(probabilities, columns=names)}
        levels |= {str(rank): self.roll_up(proba, names, rank) for rank in self.table.columns}
        for rank, rolled in levels.items():
            open_rows = np.flatnonzero(ranks == "")
            values = rolled.to_numpy()[open_rows]
            best = values.argmax(axis=1)
            highest[open_rows] = values.max(axis=1)
            enough = highest[open_rows] >= probability
            labels[open_rows[enough]] = rolled.columns.to_numpy()[best[enough]]
            ranks[open_rows[enough]] = rank
        return pd.DataFrame({"label": labels, "rank": ranks, "probability": highest})

    def _check_rank(self, rank: str | None) -> str:
        if rank is None:
            lowest: str = self.table.columns[0]
            return lowest
        if rank not in self.table.columns:
            raise ValueError(
                f"rank={rank!r} is not a rank of the taxonomy. Expected one of "
                f"{', '.join(map(str, self.table.columns))}."
            )
        return rank

    def _groups(self, names: npt.NDArray[np.generic], rank: str) -> npt.NDArray[np.generic]:
        unknown = [name for name in names.tolist() if name not in self.table.index]
        if unknown:
            known = self.table.index.tolist()
            way_out = "Add them to ranks."
            if set(map(str, unknown)) <= set(map(str, known)):
                way_out = (
                    f"ranks has {known[0]!r}, of another type than the class {unknown[0]!r}: "
                    "convert one of both."
                )
            raise ValueError(
                f"The classes {', '.join(map(str, unknown[:5]))} have no row in the taxonomy. "
                f"{way_out}"
            )
        # Not `loc`, to which False and True are no labels.
        rows = self.table.index.get_indexer(names.tolist())
        groups: npt.NDArray[np.generic] = np.asarray(self.table[rank])[rows]
        return groups


def restrict_classes(
    proba: npt.ArrayLike, classes: npt.ArrayLike, allowed: npt.ArrayLike | Iterable[object]
) -> npt.NDArray[np.float64]:
    """Restrict probabilities to labels that are possible, such as species of the region.

    The others get probability 0, and the rest is scaled up to sum to 1. That is what the
    classifier says if the list is right: an image of a species that is not on it gets a label from
    the list all the same, with a high probability.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
    classes : array-like of shape (n_classes,)
        Label of each column, such as ``clf.classes_``.
    allowed : array-like or set of labels
        Labels that are possible. Those that the classifier does not know are ignored.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
        An image to which no possible label is likely at all gets all of them equally.

    Raises
    ------
    ValueError
        If none of the labels is possible, or `allowed` has several columns.

    Examples
    --------
    >>> from skcnn.uncertainty import restrict_classes
    >>> restrict_classes([[0.6, 0.3, 0.1]], ["lion", "fox", "hare"], ["fox", "hare", "wolf"])
    array([[0.  , 0.75, 0.25]])
    """
    probabilities = check_probabilities(proba)
    names = check_classes(classes, None, probabilities.shape[1])
    listed = _listed(allowed)
    possible = np.array([name in listed for name in names.tolist()])
    if not possible.any():
        raise ValueError(
            f"None of the classes is allowed. Expected at least one of "
            f"{', '.join(map(str, names[:5].tolist()))} ... in allowed."
        )
    kept = np.where(possible, probabilities, 0.0)
    sums = kept.sum(axis=1, keepdims=True)
    equal = possible / possible.sum()
    restricted: npt.NDArray[np.float64] = np.where(
        sums > 0, kept / np.where(sums > 0, sums, 1), equal
    )
    return restricted


def _listed(allowed: npt.ArrayLike | Iterable[object]) -> set[object]:
    """Return labels in any form that a user has them in as a set."""
    if isinstance(allowed, Set | Iterator):
        # They would be one object to numpy.
        allowed = list(allowed)
    # As objects: numpy would make text of numbers that stand beside text.
    names = np.atleast_1d(np.asarray(allowed, dtype=object))
    if names.shape[1:] not in ((), (1,)):
        raise ValueError(
            f"allowed has shape {names.shape}. Expected the labels that are possible, of shape "
            "(n_labels,), such as one column of a table."
        )
    return set(names.ravel().tolist())
