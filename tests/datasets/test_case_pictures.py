"""Pictures of mark sets: marks where they are, truth only where there is one, one plane of a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import SimpleITK
import typer
from typer.testing import CliRunner

from tallymark.cli.weaken import weaken as weaken_verb
from tallymark.data.cases import Case
from tallymark.data.marks import EXCLUDED
from tallymark.data.settings import ImageSettings, StudySettings
from tallymark.data.study import Study
from tallymark.datasets.case_pictures import case_marks, draw_layers, legend, marks_picture, shown_plane, spaced
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken
from tallymark.errors import StudyError
from tallymark.pictures import structure_colour

app = typer.Typer()
app.command()(weaken_verb)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    root = write_phantoms(tmp_path, 10, size=32, normals=0.3)
    import_pairs(root / "images", root / "masks", root / "study", groups=root / "groups.csv")
    return Study.open(root / "study")


def test_a_simulated_set_is_drawn_beside_the_study(study: Study) -> None:
    weaken(study, "erosion:8%", "e8")
    path = marks_picture(study, "e8", shown=4)
    assert path == study.folder / "pictures" / "marks-e8.png"
    with PIL.Image.open(path) as sheet:
        assert sheet.size[0] == 3 * (320 + 16) + 16
        orange = (np.asarray(sheet) == structure_colour(0)).all(axis=-1)
    assert orange.sum() > 100


def test_marks_of_people_are_drawn_without_any_truth(tmp_path: Path) -> None:
    PIL.Image.new("L", (32, 32)).save(tmp_path / "a.png")
    settings = StudySettings(name="s", structures=("one", "two"))
    study = Study.create(tmp_path / "study", settings, [Case("a", tmp_path / "a.png")])
    for name, rows in (("two", slice(0, 16)), (EXCLUDED, slice(20, 30))):
        raster = np.zeros((32, 32), bool)
        raster[rows] = True
        study.marks.add_raster("a", "reader", name, raster, author="r1", origin="real")
    assert case_marks(study, study.case("a"), "reader").sum(axis=(1, 2)).tolist() == [0, 16 * 32, 10 * 32]
    with PIL.Image.open(marks_picture(study, "reader")) as sheet:
        pixels = np.asarray(sheet)
    assert (pixels == structure_colour(1)).all(axis=-1).sum() > 0.4 * 320 * 320
    assert legend(study) == "the full masks: one orange, two sky blue"


def test_the_plane_of_a_volume_is_the_one_with_most_in_it(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((5, 8, 8), np.uint8)), str(tmp_path / "v.nii.gz"))
    settings = StudySettings(name="s", structures=("one",), image=ImageSettings(dimension=3))
    study = Study.create(tmp_path / "study", settings, [Case("v", tmp_path / "v.nii.gz")])
    raster = np.zeros((5, 8, 8), bool)
    raster[1, 2, 2] = raster[3, 2:4, 2:4] = True
    study.marks.add_raster("v", "reader", "one", raster, author="r1", origin="real")
    assert shown_plane(raster[None]) == 3
    assert shown_plane(raster[3][None]) is None
    drawn = draw_layers(np.zeros((5, 8, 8, 1)), marks=raster[None], plane=3)
    assert drawn.shape == (512, 512, 3)
    assert (drawn == structure_colour(0)).all(axis=-1).sum() == 4 * 64 * 64
    assert marks_picture(study, "reader").exists()


def test_a_set_without_marks_is_said_to_be_empty(study: Study) -> None:
    weaken(study, "click", "c")
    study.marks.clear("c")
    with pytest.raises(StudyError, match="there is nothing to draw"):
        marks_picture(study, "c")
    with pytest.raises(StudyError, match="no mark set 'd'"):
        marks_picture(study, "d")


def test_items_are_evenly_spaced() -> None:
    assert spaced([], 3) == []
    assert spaced("ab", 5) == ["a", "b"]
    assert spaced(list(range(101)), 5) == [0, 25, 50, 75, 100]


def test_the_verb_draws_unless_told_not_to(study: Study) -> None:
    def run(*words: object) -> str:
        result = CliRunner().invoke(app, [str(word) for word in (study.folder, *words)])
        assert result.exception is None, result.exception
        return result.output

    said = run("--marks", "click", "--as", "c")
    assert "some of them: " in said
    assert (study.folder / "pictures" / "marks-c.png").exists()
    run("--marks", "stroke", "--as", "s", "--no-picture")
    assert not (study.folder / "pictures" / "marks-s.png").exists()
    assert "10 numbers 'r5'" in run("--numbers", "rounded:5%", "--as", "r5")
