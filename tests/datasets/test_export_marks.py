"""Marks go out to other tools and come back bit for bit; what does not fit is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from typer.testing import CliRunner

from tallymark.cli.app import app
from tallymark.data.annotations import Annotator
from tallymark.data.mark_layer import AuthoredMark, united
from tallymark.data.marks import EXCLUDED
from tallymark.data.settings import ImageSettings, StudySettings
from tallymark.data.strokes import Stroke
from tallymark.data.study import Case, Study
from tallymark.datasets.exchanged import import_documents
from tallymark.datasets.export_marks import export_marks
from tallymark.datasets.geojson_marks import from_geojson, to_geojson
from tallymark.datasets.label_marks import import_marks
from tallymark.datasets.label_studio import from_label_studio, pack, to_label_studio, unpack
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError

SHAPE = (17, 23)
MASKS = arrays(bool, SHAPE)


def pictures(folder: Path) -> Study:
    cases = []
    for number in range(3):
        Image.fromarray(np.full(SHAPE, number, np.uint8)).save(folder / f"scan{number}.png")
        cases.append(Case(f"scan{number}", folder / f"scan{number}.png", split="train"))
    return Study.create(folder / "study", StudySettings(name="s", structures=("kidney", "tumour")), cases)


def marked(study: Study) -> dict[str, dict[str, np.ndarray]]:
    """Random marks that do not overlap, with holes and single pixels, on two of the cases."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in ("scan0", "scan2"):
        labels = rng.integers(0, 6, SHAPE)
        found[name] = {s: labels == k for k, s in enumerate((*study.structures, EXCLUDED), start=1)}
        for structure, mask in found[name].items():
            study.marks.add_raster(name, "hand", structure, mask, author="reader")
    return found


def same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


class TestRoundTrips:
    """Out and in again."""

    def test_label_images(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        wanted = marked(study)
        report = export_marks(study, "hand", tmp_path / "out")
        assert report.codes == {"kidney": 1, "tumour": 2, EXCLUDED: 3}
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scan0.tif", "scan2.tif"]
        assert set(np.unique(tifffile.imread(tmp_path / "out" / "scan0.tif"))) == {0, 1, 2, 3}
        codes = {code: name for name, code in report.codes.items()}
        import_marks(study, tmp_path / "out", "back", codes, allow_missing=True)
        assert all(same(study.marks.labels(name, "back"), wanted[name]) for name in wanted)

    @pytest.mark.parametrize("format", ["geojson", "label-studio"])
    def test_documents(self, tmp_path: Path, format: Any) -> None:
        study = pictures(tmp_path)
        wanted = marked(study)
        export_marks(study, "hand", tmp_path / "out", format)
        report = import_documents(study, tmp_path / "out", "back", format, author="other")
        assert (report.images, report.marked, report.without_file) == (2, 2, 1)
        assert all(same(study.marks.labels(name, "back"), wanted[name]) for name in wanted)

    def test_a_volume_keeps_its_geometry(self, tmp_path: Path) -> None:
        values = np.arange(24, dtype=np.int16).reshape(4, 2, 3)
        volume = SimpleITK.GetImageFromArray(values)
        volume.SetSpacing((0.8, 0.7, 5.0))
        volume.SetOrigin((-10.0, 4.0, 30.0))
        volume.SetDirection((0, 0, 1, 0, 1, 0, -1, 0, 0))
        SimpleITK.WriteImage(volume, str(tmp_path / "scan.nii.gz"))
        settings = StudySettings(name="s", structures=("kidney",), image=ImageSettings(dimension=3))
        study = Study.create(tmp_path / "study", settings, [Case("scan", tmp_path / "scan.nii.gz", split="train")])
        mask = values % 5 == 0
        study.marks.add_raster("scan", "hand", "kidney", mask)
        export_marks(study, "hand", tmp_path / "out")
        written = SimpleITK.ReadImage(str(tmp_path / "out" / "scan.nii.gz"))
        read = SimpleITK.ReadImage(str(tmp_path / "scan.nii.gz"))
        assert np.array_equal(SimpleITK.GetArrayFromImage(written), mask)
        for get in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(written, get)() == pytest.approx(getattr(read, get)())
        import_marks(study, tmp_path / "out", "back", {1: "kidney", 2: EXCLUDED})
        assert same(study.marks.labels("scan", "back"), {"kidney": mask})
        with pytest.raises(GeometryError, match="holds pictures"):
            export_marks(study, "hand", tmp_path / "other", "geojson")

    @given(MASKS)
    def test_any_mask_as_polygons(self, mask: np.ndarray) -> None:
        document = json.loads(json.dumps(to_geojson({"a": mask}, {})))
        found = from_geojson(document, SHAPE, "x")
        assert np.array_equal(found.get("a", np.zeros(SHAPE, bool)), mask)

    @given(arrays(np.uint8, st.integers(0, 400), elements=st.integers(0, 3)))
    def test_any_bytes_as_a_brush(self, values: np.ndarray) -> None:
        assert np.array_equal(unpack(pack(values)), values)

    def test_a_long_run_is_cut(self) -> None:
        values = np.zeros(200_000, np.uint8)
        assert np.array_equal(unpack(pack(values)), values)


class TestNnUnet:
    """What nobody marked is ignored, never background."""

    def test_unmarked_is_the_ignore_label(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        wanted = marked(study)
        export_marks(study, "hand", tmp_path / "out", "nnunet")
        dataset = json.loads((tmp_path / "out" / "dataset.json").read_text())
        assert dataset["labels"] == {"background": 0, "kidney": 1, "tumour": 2, "ignore": 3}
        assert (dataset["numTraining"], dataset["file_ending"]) == (2, ".png")
        labels = np.asarray(Image.open(tmp_path / "out" / "labelsTr" / "scan0.png"))
        assert np.array_equal(labels == 0, wanted["scan0"][EXCLUDED])
        assert np.array_equal(labels == 2, wanted["scan0"]["tumour"])
        assert np.array_equal(labels == 3, ~np.logical_or.reduce(list(wanted["scan0"].values())))

    def test_labels_of_nnunet_come_back(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        wanted = marked(study)
        report = export_marks(study, "hand", tmp_path / "out", "nnunet")
        unmarked = report.codes["unmarked"]
        codes = {code: name for name, code in report.codes.items() if name != "unmarked"}
        folder = tmp_path / "out" / "labelsTr"
        import_marks(study, folder, "back", codes, unmarked=(unmarked,), allow_missing=True)
        assert all(same(study.marks.labels(name, "back"), wanted[name]) for name in wanted)
        words = ["import", "marks", str(study.folder), str(folder), "--as", "again", "--codes", "kidney=1"]
        words += ["--codes", "tumour=2", "--none-of-these", "0", "--unmarked", "3", "--allow-missing"]
        assert CliRunner().invoke(app, words).exit_code == 0
        assert same(Study.open(study.folder).marks.labels("scan2", "again"), wanted["scan2"])


def dot(row: float, column: float, width: float = 1) -> Stroke:
    return Stroke(np.array([[row, column]], float), width, SHAPE)


def results(marks: list[AuthoredMark]) -> list[tuple[str, Any]]:
    """Kind and structure of each annotation of the task, which must come back as what is visible."""
    task = json.loads(json.dumps(to_label_studio(marks, "a.png")))
    visible = {structure: mask for structure, mask in united(marks).items() if mask.any()}
    assert same(from_label_studio(task, SHAPE, "a.json"), visible)
    found = task["annotations"][0]["result"]
    return [(each["type"].removesuffix("labels"), *each["value"][each["type"]]) for each in found]


PLACES = st.one_of(st.integers(-2, 24).map(float), st.floats(-3, 25, width=32))
STROKES = st.tuples(
    arrays(float, st.tuples(st.sampled_from([1, 1, 1, 2, 3]), st.just(2)), elements=PLACES),
    st.sampled_from([0.4, 1.0, 2.0, 3.5, 7.0, 60.0]),
)
DRAWN = st.one_of(
    st.tuples(st.just("stroke"), st.sampled_from(["kidney", "tumour", EXCLUDED]), STROKES),
    st.tuples(st.just("raster"), st.sampled_from(["kidney", "tumour", EXCLUDED]), MASKS),
    st.tuples(st.just("erase"), st.none(), STROKES),
    st.tuples(st.just("nothing"), st.none(), st.just(np.ones(SHAPE, bool))),
)


class TestKeyPoints:
    """Clicks go to Label Studio as key points where that shows what is visible; all else is a brush."""

    def test_a_click_counted_by_hand(self) -> None:
        click = Stroke(np.array([[1.0, 2.0]]), 2.0, (4, 8))
        (brush, point) = to_label_studio(
            [("one", "raster", "tumour", np.eye(4, 8, dtype=bool)), ("one", "stroke", "kidney", click)], "a.png"
        )["annotations"][0]["result"]
        # The centre of row 1, column 2 is 1.5 / 4 down and 2.5 / 8 across; the pen is 2 / 8 of the width.
        assert point == {
            "type": "keypointlabels",
            "from_name": "point",
            "to_name": "image",
            "original_width": 8,
            "original_height": 4,
            "image_rotation": 0,
            "value": {"x": 31.25, "y": 37.5, "width": 25.0, "keypointlabels": ["kidney"]},
        }
        assert (brush["type"], brush["from_name"], brush["value"]["brushlabels"]) == ("brushlabels", "tag", ["tumour"])

    @given(st.lists(st.tuples(st.sampled_from(["one", "other"]), DRAWN), max_size=8))
    def test_any_marks_come_back(self, drawn: list[Any]) -> None:
        results(
            [
                (author, kind, structure, Stroke(*mark, SHAPE) if isinstance(mark, tuple) else mark)
                for author, (kind, structure, mark) in drawn
            ]
        )

    @given(st.integers(0, 16), st.integers(0, 22), st.sampled_from([1.0, 2.0, 3.0, 5.0, 12.0]))
    def test_a_click_on_the_centre_of_a_pixel_is_a_key_point(self, row: int, column: int, width: float) -> None:
        assert results([("one", "stroke", "kidney", dot(row, column, width))]) == [("keypoint", "kidney")]

    @pytest.mark.parametrize(
        "click",
        [
            dot(8, -0.6, 3),  # centred beyond the image
            dot(8, 5, 24),  # wider than 100 percent
            Stroke(np.array([[8.0, 5.5]]), 0.2, SHAPE),  # a key point is at least a pixel wide: two pixels
            Stroke(np.array([[8.0, 5.0], [8.0, 5.0]]), 1, SHAPE),  # not made as a click
        ],
    )
    def test_what_is_no_key_point_is_a_brush(self, click: Stroke) -> None:
        assert results([("one", "stroke", "kidney", click)]) == [("brush", "kidney")]

    def test_a_click_that_marks_nothing_is_nothing(self) -> None:
        assert results([("one", "stroke", "kidney", dot(8, 40))]) == []

    def test_only_the_own_later_erasures_count(self) -> None:
        click: AuthoredMark = ("one", "stroke", "kidney", dot(5, 5, 3))
        erasure = dot(5, 6)
        assert results([click, ("one", "erase", None, erasure)]) == [("brush", "kidney")]
        assert results([click, ("one", "erase", None, dot(5, 5, 9))]) == []
        assert results([("one", "erase", None, erasure), click]) == [("keypoint", "kidney")]
        assert results([click, ("other", "erase", None, erasure)]) == [("keypoint", "kidney")]
        assert results([click, ("one", "erase", None, dot(5, 8))]) == [("keypoint", "kidney")]

    def test_a_stroke_under_a_click_has_no_hole(self) -> None:
        line = Stroke(np.array([[5.0, 2.0], [5.0, 9.0]]), 1, SHAPE)
        marks: list[AuthoredMark] = [("one", "stroke", "kidney", line), ("other", "stroke", "kidney", dot(5, 5))]
        assert results(marks) == [("brush", "kidney"), ("keypoint", "kidney")]
        brush = to_label_studio(marks, "a.png")["annotations"][0]["result"][0]["value"]["rle"]
        assert np.array_equal(unpack(brush).reshape(*SHAPE, 4)[..., 3] > 0, line.raster())

    def test_nothing_here_does_not_take_in_the_clicks(self) -> None:
        nothing: AuthoredMark = ("one", "nothing", None, np.ones(SHAPE, bool))
        clicks: list[AuthoredMark] = [
            ("one", "stroke", "kidney", dot(5, 5, 3)),
            ("one", "stroke", EXCLUDED, dot(5, 5)),
            ("one", "stroke", EXCLUDED, dot(9, 9)),
        ]
        assert results([nothing, *clicks]) == [("brush", EXCLUDED), ("keypoint", "kidney"), ("keypoint", EXCLUDED)]

    def test_what_was_taken_back_stays_away(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        one, other = Annotator(study.marks, "hand", "one"), Annotator(study.marks, "hand", "other")
        one.draw("scan0", "kidney", dot(3, 3, 3), "u1")
        one.draw("scan0", "kidney", dot(9, 9), "u2")
        one.draw("scan0", None, dot(3, 3, 5), "u3")
        one.retract("scan0", "u3", "u4")
        one.retract("scan0", "u2", "u5")
        other.draw("scan0", "tumour", dot(3, 3), "u6")
        export_marks(study, "hand", tmp_path / "out", "label-studio")
        export_marks(study, "hand", tmp_path / "other", "label-studio", author="other")

        def values(folder: str) -> list[Any]:
            task = json.loads((tmp_path / folder / "scan0.json").read_text())
            return [each["value"]["keypointlabels"] for each in task["annotations"][0]["result"]]

        assert values("out") == [["kidney"], ["tumour"]]
        assert values("other") == [["tumour"]]
        import_documents(study, tmp_path / "out", "back", "label-studio")
        assert same(study.marks.labels("scan0", "back"), study.marks.labels("scan0", "hand"))


class TestForeign:
    """Documents that other tools wrote."""

    def test_what_qupath_draws(self) -> None:
        square = [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]]
        hole = [[2, 2], [3, 2], [3, 3], [2, 3], [2, 2]]
        kinds = [
            {"type": "MultiPolygon", "coordinates": [[square, hole]]},
            {"type": "LineString", "coordinates": [[0.5, 6.5], [4.5, 6.5]]},
            {"type": "Point", "coordinates": [10.5, 10.5]},
        ]
        named = {"classification": {"name": "tumour"}}
        document = [{"type": "Feature", "geometry": kind, "properties": named} for kind in kinds]
        mask = from_geojson(document, SHAPE, "x")["tumour"]
        wanted = np.zeros(SHAPE, bool)
        wanted[1:4, 1:5] = True
        wanted[2, 2] = False
        wanted[6, 0:5] = wanted[10, 10] = True
        assert np.array_equal(mask, wanted)

    def test_key_points_of_label_studio(self) -> None:
        size = {"original_width": 23, "original_height": 17, "type": "keypointlabels"}
        value = {"x": 100 * 5.5 / 23, "y": 100 * 8.5 / 17, "width": 0.1, "keypointlabels": ["kidney"]}
        found = from_label_studio({"annotations": [{"result": [size | {"value": value}]}]}, SHAPE, "x")
        assert np.argwhere(found["kidney"]).tolist() == [[8, 5]]

    @pytest.mark.parametrize(
        "document",
        [
            None,
            [],
            {"annotations": []},
            {"annotations": [{"result": [{"type": "brushlabels"}]}]},
            {"annotations": [{"result": [{"type": "rectanglelabels", "original_width": 23, "original_height": 17,
                                          "value": {}}]}]},
            {"annotations": [{"result": [{"type": "brushlabels", "original_width": 23, "original_height": 17,
                                          "value": {"rle": [0, 0, 6, 28, 255], "brushlabels": ["kidney"]}}]}]},
        ],
    )  # fmt: skip
    def test_what_is_no_task_is_refused(self, document: Any) -> None:
        with pytest.raises(ReadError, match="no Label Studio task"):
            from_label_studio(document, SHAPE, "x")

    def test_another_size_is_refused(self) -> None:
        task = to_label_studio([("reader", "raster", "kidney", np.ones((3, 4), bool))], "a.png")
        with pytest.raises(GeometryError, match="another image"):
            from_label_studio(task, SHAPE, "x")

    @pytest.mark.parametrize(
        ("name", "text", "error"),
        [
            ("scan0", "{", ReadError),
            ("scan0", '{"features": [{"geometry": null}]}', ReadError),
            ("scan9", "[]", StudyError),
            ("scan0", json.dumps(to_geojson({"liver": np.ones(SHAPE, bool)}, {})), StudyError),
        ],
    )
    def test_nothing_is_stored_of_what_does_not_fit(
        self, tmp_path: Path, name: str, text: str, error: type[Exception]
    ) -> None:
        study = pictures(tmp_path)
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "scan1.geojson").write_text(json.dumps(to_geojson({"kidney": np.ones(SHAPE, bool)}, {})))
        (tmp_path / "in" / f"{name}.geojson").write_text(text)
        with pytest.raises(error):
            import_documents(study, tmp_path / "in", "back", "geojson")
        assert "back" not in study.marks.sets()


class TestRefusals:
    """What cannot be written as it is."""

    def test_two_structures_on_a_pixel(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        mask = np.zeros(SHAPE, bool)
        mask[3, 4] = True
        study.marks.add_raster("scan0", "hand", "kidney", mask, author="one")
        study.marks.add_raster("scan0", "hand", "tumour", mask, author="other")
        with pytest.raises(StudyError, match=r"case 'scan0'.*1 pixels as kidney and tumour"):
            export_marks(study, "hand", tmp_path / "out")
        assert export_marks(study, "hand", tmp_path / "one", author="one").images == 1

    def test_a_folder_that_holds_something(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        marked(study)
        with pytest.raises(ConfigError, match="holds something"):
            export_marks(study, "hand", tmp_path)

    def test_from_the_command_line(self, tmp_path: Path) -> None:
        study = pictures(tmp_path)
        wanted = marked(study)
        runner = CliRunner()
        for format in ("geojson", "label-studio"):
            out = str(tmp_path / format)
            written = runner.invoke(
                app, ["export", "marks", str(study.folder), out, "--format", format, "--marks", "hand", "--json"]
            )
            assert json.loads(written.output)["images"] == 2
            words = ["import", "marks", str(study.folder), out, "--as", format, "--format", format, "--json"]
            assert json.loads(runner.invoke(app, words).output)["marked"] == 2
            assert same(Study.open(study.folder).marks.labels("scan0", format), wanted["scan0"])
