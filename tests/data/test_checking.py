"""``check`` finds all of several faults at once, and duplicates across groups."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tallymark.data.checking import check_study, group_duplicates
from tallymark.data.images import Image, read_image
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.near_duplicates import clusters, near_pairs, thumbnail
from tallymark.data.numbers import NumberRow
from tallymark.data.settings import StudySettings
from tallymark.data.study import Case, Study
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic

SHARE = Statistic("share", "area_fraction", of=("fat",), unit="percent")
SIZE = 20


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Fifty sound cases of one group each, all with the number 10 % and one marked pixel."""
    cases = [Case(f"c{n:02d}", save(tmp_path / "images" / f"c{n:02d}.png", noise(n))) for n in range(50)]
    settings = StudySettings(name="x", structures=("fat",), statistics=(SHARE,))
    numbers = [NumberRow(case.id, "share", 10, 9.5, 10.5) for case in cases]
    made = Study.create(tmp_path / "study", settings, cases, numbers=numbers)
    mark = np.zeros((SIZE, SIZE), bool)
    mark[3, 3] = True
    with made.marks.batch():
        for case in cases:
            made.marks.add_raster(case.id, "first", "fat", mark)
    return made


def edit(study: Study, table: str, changes: dict[tuple[int, str], str]) -> None:
    """Change cells of a table, rows as a spreadsheet counts them."""
    path = study.folder / table
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    for (row, column), value in changes.items():
        rows[row - 1][rows[0].index(column)] = value
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def said(study: Study, images: bool | None = None) -> list[str]:
    return [str(finding) for finding in check_study(study.folder, images=images).findings]


def one(findings: list[str], *parts: str) -> str:
    """The one finding that says all of this."""
    found = [finding for finding in findings if all(part in finding for part in parts)]
    assert len(found) == 1, findings
    return found[0]


def test_a_sound_study_has_no_findings(study: Study) -> None:
    report = check_study(study.folder)
    assert report.findings == []
    assert (report.cases, report.opened) == (50, 50)


def test_everything_wrong_with_the_tables_is_found_in_one_pass(study: Study) -> None:
    cases, numbers = "cases.csv", "statistics.csv"
    edit(
        study,
        cases,
        {(2, "id"): "a:b", (2, "sha256"): "12", (3, "split"): "tset", (4, "group"): "", (5, "spacing"): "1 x"},
    )
    edit(study, cases, {(6, "spacing"): "1 2 3", (8, "id"): "C05", (9, "image"): ""})
    edit(study, cases, {(10, "group"): "g", (11, "group"): "g", (10, "split"): "train", (11, "split"): "test"})
    edit(study, numbers, {(12, "value"): "12,3", (13, "value"): "101", (13, "high"): "102", (14, "low"): "11"})
    edit(study, numbers, {(15, "id"): "zz", (16, "statistic"): "size", (17, "level"): "patient"})
    edit(study, numbers, {(18, "value"): "20", (19, "id"): "c18", (20, "high"): "x", (20, "low"): "y"})
    findings = said(study)
    for parts in (
        (cases, "row 2, column id", "cannot name a file"),
        (cases, "row 2, column sha256"),
        (cases, "row 3, column split", "'tset'"),
        (cases, "row 4, column group", "missing"),
        (cases, "row 5, column spacing", "not a list"),
        (cases, "row 6, column spacing", "does not fit"),
        (cases, "twice", "c05 in row 7, 8"),
        (cases, "row 9, column image", "missing"),
        (cases, "group 'g' is in 2 splits", "train in row 10; test in row 11"),
        (numbers, "row 12, column value", "12,3", "point in place"),
        (numbers, "row 13, column value", "101"),
        (numbers, "row 13, column high", "102"),
        (numbers, "row 14", "interval is empty"),
        (numbers, "row 15, column id", "'zz'"),
        (numbers, "row 16, column statistic", "'size'"),
        (numbers, "row 17, column level", "'patient'"),
        (numbers, "row 18, column value", "outside of its interval"),
        (numbers, "twice", "c18 in row 19, 20"),
        (numbers, "row 20, column high", "'x'"),
        (numbers, "row 20, column low", "'y'"),
    ):
        assert one(findings, *parts).startswith("error: ")
        assert "to mend it: " in one(findings, *parts)


def test_settings_that_cannot_be_read_do_not_hide_the_cases(study: Study) -> None:
    (study.folder / "study.toml").write_text("format = 1\nname = 'x'\n")
    edit(study, "cases.csv", {(3, "split"): "tset"})
    report = check_study(study.folder)
    assert [finding.topic for finding in report.findings] == ["settings", "cases"]
    assert "study.toml" in report.notes[0]


def test_images_that_are_missing_changed_or_broken(study: Study) -> None:
    study.case("c03").image.unlink()
    save(study.case("c04").image, noise(99))
    broken = study.case("c05").image
    broken.write_bytes(broken.read_bytes()[:60])
    findings = said(study)
    one(findings, "c03.png", "missing")
    one(findings, "c04.png", "has changed")
    one(findings, "c05.png")
    assert len([finding for finding in findings if "c03" in finding]) == 1
    closed = said(study, images=False)  # c05 is seen all the same: its marks are compared with its size
    assert ["c04" in finding for finding in closed] == [False, False]


def test_marks_that_contradict_image_number_or_each_other(study: Study) -> None:
    full = np.ones((SIZE, SIZE), bool)
    half = np.arange(SIZE * SIZE).reshape(SIZE, SIZE) < 43  # 10.75 %, above 10.5 % by one pixel
    marks = MarkStore(study.folder / "marks.sqlite")
    marks.add_raster("c01", "wide", "fat", half)
    marks.add_raster("c02", "wide", "fat", np.ones((SIZE, SIZE + 1), bool))
    marks.add_raster("c03", "wide", "fat", full & (np.arange(SIZE) == 0))
    marks.add_raster("c03", "wide", EXCLUDED, full)
    marks.add_raster("zz", "wide", "fat", full)
    marks.add_raster("c04", "simulated", "fat", full, origin="simulated")
    findings = said(study)
    assert one(findings, "'c01'", "more is marked", "10.75 percent", "at most 10.5").startswith("error")
    one(findings, "'c02'", "another size", "(20, 21)", "(20, 20)")
    one(findings, "'c03'", "none of the structures", "20 pixels")
    one(findings, "'c03'", "no room", "at least 9.5")
    assert one(findings, "'zz'", "not in the study").startswith("warning")
    assert one(findings, "'c04'", "more is marked").startswith("warning")
    assert len(findings) == 6


def sized(tmp_path: Path, rows: list[NumberRow], spacing: tuple[float, ...] | None = (0.5, 0.5)) -> Study:
    """Two cases of 10 x 10 mm, the first in the group of its own number, and an area and two axes of a cyst."""
    cases = [Case(name, save(tmp_path / f"{name}.png", noise(n)), spacing=spacing) for n, name in enumerate("ab")]
    statistics = (
        Statistic("size", "area", of=("cyst",), unit="cm2"),
        Statistic("length", "longest_axis", of=("cyst",), unit="mm"),
        Statistic("width", "shortest_axis", of=("cyst",), unit="mm"),
    )
    settings = StudySettings(name="x", structures=("cyst",), statistics=statistics)
    return Study.create(tmp_path / "study", settings, cases, numbers=rows)


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize(
    ("number", "found", "most"),
    [
        (NumberRow("a", "size", 90), "90 cm2", "at most 1 cm2"),
        (NumberRow("a", "size", low=2, high=90, variant="r5"), "at least 2 cm2", "at most 1 cm2"),
        (NumberRow("a", "length", 900), "900 mm", "at most 16.33 mm"),
        (NumberRow("a", "width", 20), "20 mm", "at most 16.33 mm"),
    ],
)
def test_a_number_larger_than_its_image_is_an_error(
    tmp_path: Path, number: NumberRow, found: str, most: str, images: bool
) -> None:
    study = sized(tmp_path, [number, NumberRow("b", number.statistic, 0.5)])
    finding = one(said(study, images=images), "no room")
    for words in ("error: ", "statistics.csv, case 'a'", number.statistic, f"found {found};", most, "unit", "spacing"):
        assert words in finding
    assert ("variant 'r5'" in finding) == (number.variant == "r5")


def test_what_an_image_has_just_room_for_is_no_error(tmp_path: Path) -> None:
    numbers = [
        NumberRow("a", "size", 1.004),  # typed with few digits
        NumberRow("a", "length", 16.3),  # of a bar from corner to corner
        NumberRow("b", "size", low=0.5, high=90),  # the least end counts
        NumberRow("b", "length"),
    ]
    assert not [finding for finding in said(sized(tmp_path, numbers)) if "room" in finding]


def test_without_the_size_of_a_pixel_no_number_is_too_large(tmp_path: Path) -> None:
    assert not [finding for finding in said(sized(tmp_path, [NumberRow("a", "size", 90)], None)) if "room" in finding]


def test_only_what_is_marked_as_none_takes_room_away(tmp_path: Path) -> None:
    study = sized(tmp_path, [NumberRow("a", "size", 90), NumberRow("b", "size", 0.8)])
    mark = np.zeros((SIZE, SIZE), bool)
    mark[3, 3] = True
    for name in "ab":
        study.marks.add_raster(name, "hand", "cyst", mark)
    assert "case 'a'" in one(said(study), "no room")
    for name in "ab":
        study.marks.add_raster(name, "hand", EXCLUDED, np.arange(SIZE * SIZE).reshape(SIZE, SIZE) >= SIZE**2 // 2)
    assert "case 'b'" in one(said(study), "none of the structures")


def test_a_group_has_no_more_than_its_images(tmp_path: Path) -> None:
    study = sized(tmp_path, [NumberRow("a", "size", 3, level="group"), NumberRow("b", "size", 1, level="group")])
    assert "at most 1 cm2" in one(said(study), "of the group 'a' contradicts")


def test_one_pixel_less_is_no_contradiction(study: Study) -> None:
    study.marks.add_raster("c01", "wide", "fat", np.arange(SIZE * SIZE).reshape(SIZE, SIZE) < 42)
    assert said(study) == []
    assert check_study(study.folder).marked == {"first": len(study.cases), "wide": 1}


def test_damaged_marks_are_a_finding(study: Study) -> None:
    for path in study.folder.glob("marks.sqlite*"):
        path.unlink()
    (study.folder / "marks.sqlite").write_bytes(b"no database at all" * 100)
    one(said(study), "marks.sqlite", "damaged")


def test_splits_empty_and_small(study: Study) -> None:
    edit(study, "cases.csv", {(row, "split"): "test" if row < 4 else "select" for row in range(2, 52)})
    findings = said(study)
    assert one(findings, "'train' is empty").startswith("error")
    assert one(findings, "'calibrate' is empty").startswith("warning")
    one(findings, "'test' is so small", "2 groups")


def test_what_cannot_be_learned_is_said(tmp_path: Path) -> None:
    cases = [Case(f"c{n}", save(tmp_path / f"c{n}.png", noise(n)), group=f"g{n // 2}") for n in range(4)]
    statistics = (
        Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle"), unit="percent"),
        Statistic("size", "area", of=("cyst",), unit="mm2"),
    )
    settings = StudySettings(name="x", structures=("fat", "muscle", "cyst", "bone"), statistics=statistics)
    numbers = [NumberRow("g0", "ratio", 10, level="group")]
    made = Study.create(tmp_path / "study", settings, cases, numbers=numbers)
    findings = said(made)
    one(findings, "2 cases without a number and without a mark", "c2, c3")
    one(findings, "ratio alone", "mark fat, muscle")
    one(findings, "physical size of a pixel", "c0, c1, c2, c3")
    one(findings, "'bone'", "nothing is known")
    one(findings, "sum over the images", "g0 (2 images)")


def test_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study"):
        check_study(tmp_path)


def with_duplicates(tmp_path: Path, others: list[np.ndarray], splits: list[str]) -> Study:
    """A smooth picture and versions of it, each a group of its own, among twenty others."""
    cases = [
        Case(f"d{n}", save(tmp_path / f"d{n}.png", pixels), group=f"p{n}", split=split)
        for n, (pixels, split) in enumerate(zip(others, splits, strict=True))
    ]
    cases += [
        Case(
            f"o{n:02d}",
            save(tmp_path / f"o{n:02d}.png", noise(n)),
            split=("train", "select", "calibrate", "test")[n // 5],
        )
        for n in range(20)
    ]
    settings = StudySettings(name="x", structures=("fat",), statistics=(SHARE,))
    return Study.create(tmp_path / "study", settings, cases, numbers=[NumberRow(c.id, "share", 10) for c in cases])


def picture() -> np.ndarray:
    row, column = np.mgrid[:90, :120] / 20
    return (127 + 60 * np.sin(row * column) + 60 * np.cos(row + 2 * column)).astype(np.uint8)


def test_duplicates_are_found_grouped_and_dealt_anew(tmp_path: Path) -> None:
    original = picture()
    caliper = original.copy()
    caliper[40:43, 30:60] = 255
    small = np.asarray(PIL.Image.fromarray(original[:, ::-1].copy()).resize((60, 45), PIL.Image.Resampling.BOX))
    made = with_duplicates(tmp_path, [original, original, caliper, small], ["train", "train", "test", "select"])
    (tmp_path / "study" / "runs" / "first").mkdir(parents=True)
    before = check_study(made.folder)
    assert [found.case_ids for found in before.duplicates] == [("d0", "d1", "d2", "d3")]
    assert not before.duplicates[0].exact
    assert one([str(f) for f in before.findings], "look the same", "3 splits").startswith("error")
    done = group_duplicates(made.folder, before.duplicates)
    assert done.merged == {"p0": ("p0", "p1", "p2", "p3")}
    assert done.runs == ("first",)
    again = Study.open(made.folder)
    assert {case.group for case in again.cases if case.id.startswith("d")} == {"p0"}
    assert done.moved == sum(again.case(case.id).split != case.split for case in made.cases)
    assert check_study(made.folder).duplicates == []
    assert {key: number.value for key, number in again.numbers().items()} == {
        key: number.value for key, number in made.numbers().items()
    }


def test_the_same_file_twice_in_one_split_is_a_warning(tmp_path: Path) -> None:
    made = with_duplicates(tmp_path, [picture(), picture()], ["train", "train"])
    edit(made, "statistics.csv", {(2, "value"): "11"})
    for images in (True, False):
        findings = said(made, images)
        assert one(findings, "are the same file", "d0, d1").startswith("warning")
        one(findings, "different numbers", "d0: 11, d1: 10")


def test_many_duplicates_are_told_in_one_readable_line(tmp_path: Path) -> None:
    made = with_duplicates(tmp_path, [picture()] * 8, ["train"] * 8)
    report = check_study(made.folder)
    told = one([str(f) for f in report.findings], "are the same file")
    assert "d0, d1, d2, d3, d4 and 3 more, of the groups p0, p1, p2, p3, p4 and 3 more" in told
    assert [len(found.case_ids) for found in report.duplicates] == [8]


def test_groups_with_numbers_of_their_own_are_not_merged(tmp_path: Path) -> None:
    made = with_duplicates(tmp_path, [picture(), picture()], ["train", "test"])
    made.add_numbers([NumberRow("p1", "share", 10, level="group")], "mean")
    before = (made.folder / "cases.csv").read_bytes()
    with pytest.raises(StudyError, match="numbers of their own"):
        group_duplicates(made.folder, check_study(made.folder).duplicates)
    assert (made.folder / "cases.csv").read_bytes() == before


def test_a_full_disk_leaves_the_groups_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_duplicates(tmp_path, [picture(), picture()], ["train", "test"])
    before = (made.folder / "cases.csv").read_bytes()
    found = check_study(made.folder).duplicates

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="cannot be written"):
        group_duplicates(made.folder, found)
    assert (made.folder / "cases.csv").read_bytes() == before


@pytest.mark.parametrize("shape", [(32, 32), (90, 120), (7, 200), (3, 40, 50)])
def test_a_thumbnail_keeps_the_mean(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 1)).astype(np.uint8)
    small = thumbnail(Image(pixels))
    assert small.shape == ((8, 32, 32) if len(shape) == 3 else (32, 32))
    assert small.mean() == pytest.approx(pixels.mean() / 255, abs=1e-5)


def test_a_thumbnail_is_a_plain_mean_where_pixels_divide_evenly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 1)).astype(np.uint8)
    expected = pixels[..., 0].reshape(32, 2, 32, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(thumbnail(Image(pixels)), expected, atol=1e-6)


def test_pairs_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    base = [noise(n).astype(np.float32) for n in range(11)]
    thumbnails = [*base, base[2][::-1], base[7][:, ::-1], base[5] * 0.3 + 9, np.full((SIZE, SIZE), 7, np.float32)]
    whole = near_pairs(thumbnails)
    assert [(pair.first, pair.second) for pair in whole] == [(2, 11), (5, 13), (7, 12)]
    monkeypatch.setattr("tallymark.data.near_duplicates._BLOCK", 4)
    assert [(pair.first, pair.second) for pair in near_pairs(thumbnails)] == [(2, 11), (5, 13), (7, 12)]


@pytest.mark.full
def test_the_duplicates_of_busi_are_found(shared_data: Path) -> None:
    with (shared_data / "busi" / "groups.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    images = shared_data / "busi" / "Dataset_BUSI_with_GT"
    thumbnails = [thumbnail(read_image(images / row["class"] / f"{row['id']}.png")) for row in rows]
    links = [(pair.first, pair.second) for pair in near_pairs(thumbnails)]
    label = np.arange(len(rows))
    for cluster in clusters(len(rows), links):
        label[cluster] = cluster[0]
    upper = np.triu_indices(len(rows), 1)
    group = np.array([row["group"] for row in rows])
    found, true = (label[:, None] == label)[upper], (group[:, None] == group)[upper]
    assert (found & true).sum() / found.sum() >= 0.99
    assert (found & true).sum() / true.sum() >= 0.99
