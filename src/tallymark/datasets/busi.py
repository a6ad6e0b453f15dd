"""BUSI: breast ultrasound with masks of the lesions.

Al-Dhabyani, Gomaa, Khaled and Fahmy 2020, Dataset of breast ultrasound images, Data in Brief 28, 104863,
doi:10.1016/j.dib.2019.104863.
"""

from __future__ import annotations

from pathlib import Path

from tallymark.data.settings import SplitSettings
from tallymark.datasets.pairs import ImportReport, Track, import_pairs
from tallymark.errors import ReadError

_DATASET = "Dataset_BUSI_with_GT"
_LESIONS = ("benign", "malignant")
_NORMAL = "normal"


def import_busi(
    folder: Path | str,
    study: Path | str,
    *,
    normals: bool = False,
    groups: Path | str | None = None,
    split: SplitSettings | None = None,
    overwrite: bool = False,
    track: Track = iter,
) -> ImportReport:
    """Make a study of BUSI as it is published.

    The class (benign, malignant, normal) is the stratum, several masks of one image are a union, the images are grey
    (the few that carry coloured overlays are made grey). BUSI holds many near-duplicates: a table that groups them,
    ``groups.csv`` in or beside the folder, is used if it is there.

    Args:
        folder: ``Dataset_BUSI_with_GT`` or the folder it lies in.
        study: the study folder to make.
        normals: take in the images without a lesion; their masks are empty.
        groups: CSV with the columns ``id`` and ``group``; None for the ``groups.csv`` that is found, if any.
        split: shares of the splits and the seed that deals the groups.
        overwrite: replace the study that is there; its marks and runs are kept.
        track: wraps the images while they are read, to show progress.

    Returns:
        What was made.

    Raises:
        ReadError: this is not BUSI, or a file cannot be read.
        StudyError: names that do not pair up, an image without a group, or a study that is there already.
        GeometryError: an image and a mask of different size.

    Example:
        >>> import tempfile, PIL.Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("benign", "malignant", "normal"):
        ...     (folder / name).mkdir()
        ...     PIL.Image.new("L", (4, 4)).save(folder / name / f"{name} (1).png")
        ...     PIL.Image.new("1", (4, 4), name != "normal").save(folder / name / f"{name} (1)_mask.png")
        >>> import_busi(folder, folder / "study").strata
        {'benign': 1, 'malignant': 1}
        >>> import_busi(folder, folder / "all", normals=True).empty
        1
    """
    folder = Path(folder)
    root = folder / _DATASET if (folder / _DATASET).is_dir() else folder
    classes = (*_LESIONS, _NORMAL) if normals else _LESIONS
    missing = [name for name in classes if not (root / name).is_dir()]
    if missing:
        raise ReadError(
            "this is not the BUSI data set",
            where=folder,
            found=f"no folder {', '.join(missing)}",
            expected=f"{_DATASET} with the folders {', '.join(classes)}",
            remedy="name the folder that was unpacked",
        )
    if groups is None:
        beside = (root / "groups.csv", root.parent / "groups.csv")
        groups = next((path for path in beside if path.is_file()), None)
    return import_pairs(
        root,
        None,
        study,
        groups=groups,
        strata=classes,
        structure="lesion",
        name="busi",
        channels=1,
        split=split,
        overwrite=overwrite,
        track=track,
    )
