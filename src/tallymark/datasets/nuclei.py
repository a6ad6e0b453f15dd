"""Nuclei of the 2018 Data Science Bowl: microscopy with every nucleus numbered.

Caicedo et al. 2019, Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 16,
doi:10.1038/s41592-019-0612-7; BBBC038 of the Broad Bioimage Benchmark Collection.
"""

from __future__ import annotations

from pathlib import Path

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.settings import SplitSettings
from tallymark.data.tables import read_table
from tallymark.datasets.labelled import each, look_at, refuse_study, require_folder, study_of_labelled
from tallymark.datasets.naming import pair_files
from tallymark.datasets.pairs import ImportReport, Track
from tallymark.errors import StudyError


def import_nuclei(
    folder: Path | str,
    study: Path | str,
    *,
    groups: Path | str | None = None,
    split: SplitSettings | None = None,
    track: Track = iter,
) -> ImportReport:
    """Make a study of images whose nuclei are numbered; the originals stay where they are.

    The structure ``nucleus`` is the union of all numbers but 0: ``truth.csv`` lists those of each file.

    Args:
        folder: with ``images/NAME.png`` and ``instances/NAME.png`` (0 background, 1, 2, 3 ... one nucleus each).
        study: the study folder to make.
        groups: CSV with the columns ``id`` and ``group``; None: each image is a group of its own.
        split: shares of the splits.
        track: wraps the images while they are read, to show progress.

    Returns:
        What was made.

    Raises:
        ReadError: a folder or file cannot be read.
        StudyError: an image without instances or the reverse, an image without a group, a study that is there already.
        GeometryError: an image and its instances of different size.
    """
    folder, study = Path(folder), Path(study)
    refuse_study(study)
    for name in ("images", "instances"):
        require_folder(folder / name, "the folders images and instances in the folder named")
    pairs = pair_files(folder / "images", folder / "instances", recursive=False)
    several = [pair.id for pair in pairs if len(pair.masks) > 1]
    if several:
        raise StudyError("images with several files of instances", where=folder / "instances", found=some(several))
    group_of = {} if groups is None else _groups(Path(groups), [pair.id for pair in pairs])
    items = each(
        pairs,
        lambda pair: look_at(Case(pair.id, pair.image, group=group_of.get(pair.id, pair.id)), pair.masks[0]),
        track=track,
        what="some images cannot be used",
    )
    notes = [] if groups else ["No groups were given: each image is a group of its own."]
    return study_of_labelled(items, {"nucleus": ()}, study, name="nuclei", split=split, notes=notes)


def _groups(path: Path, ids: list[str]) -> dict[str, str]:
    table = read_table(path, ("id", "group"), extra=True)
    group_of = {id: group for id, group in zip(table["id"], table["group"], strict=True) if group}
    missing = [id for id in ids if id not in group_of]
    if missing or len(group_of) < len(table):
        raise StudyError(
            "the groups are not complete",
            where=path,
            found=f"{len(missing)} images without a group: {some(missing)}" if missing else "a row twice, or empty",
            expected="one row with a group for every image",
        )
    return group_of
