"""Which test clips belong together: one speaker, or one recording."""

from pathlib import Path
from typing import NamedTuple

from petl_modules.comparison.finding import RECIPE
from petl_modules.data.prepare import read_manifest
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.run_data import data_digest
from petl_modules.runs.yaml_text import read_text
from petl_modules.utils import UserError

# Keys of a record, the widest first
KINDS = {
    "speaker": "speakers",
    "group": "groups",
    "recording": "recordings",
}


class Clusters(NamedTuple):
    """Which clips belong together.

    Arguments
    ---------
    kind : str
        What they have in common, such as ``speakers``.
    of : dict
        The cluster by clip. A clip that is not in it stands alone.
    conditioned : frozenset of str
        Clips under another condition, which have a metric of their own.
    known : bool
        Whether the run's manifest was found, which says all this.
    """

    kind: str
    of: dict
    conditioned: frozenset = frozenset()
    known: bool = True


NOT_FOUND = Clusters("clips", {}, known=False)


def find_clusters(folder, digest):
    """Return the clusters of a run's clips, from its manifest.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder. Its settings say where manifests are.
    digest : str or None
        The hash of the run's data, by which its manifest is known.

    Returns
    -------
    Clusters
        ``NOT_FOUND`` where the manifest is not there any more.
    """
    try:
        recipe = RecipeFile.parse(read_text(folder / RECIPE))
        place = Path(str(recipe.settings["manifest_folder"]))
        files = sorted(place.glob("*.json")) if digest else []
    except (UserError, OSError):
        return NOT_FOUND
    for file in files:
        try:
            records = read_manifest(file)
        except (UserError, OSError):
            continue  # another one, or one that is being written
        if data_digest(records) == digest:
            return clusters_of(records)
    return NOT_FOUND


def clusters_of(records):
    """Return the clusters of a manifest's clips.

    Arguments
    ---------
    records : dict
        A ``petl_modules.data.prepare.Record`` by id.

    Returns
    -------
    Clusters
        Single clips where the manifest does not say what belongs together.

    Example
    -------
    >>> clusters_of({"a": {"speaker": "eve"}, "b": {}}).of
    {'a': 'eve'}
    """
    conditioned = frozenset(c for c, r in records.items() if r.get("condition"))
    for key, kind in KINDS.items():
        of = {c: str(r[key]) for c, r in records.items() if key in r}
        if of:
            return Clusters(kind, of, conditioned)
    return Clusters("clips", {}, conditioned)
