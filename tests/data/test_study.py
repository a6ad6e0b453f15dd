"""The study folder: what is stored comes back, and each fault has one clear error that names file, row and key."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.study import (
    Case,
    ImageSettings,
    NumberRow,
    SplitSettings,
    Study,
    StudySettings,
    TruthRow,
)
from tallymark.errors import ConfigError, GeometryError, ReadError, StorageError, StudyError, TallymarkError
from tallymark.measure.definition import Statistic

from .studies import SETTINGS, make_study, mask_of, write_images


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


class TestSettings:
    """study.toml."""

    def test_round_trip(self, tmp_path: Path) -> None:
        settings = StudySettings(
            name='a "quoted" näme\\ with\ttab',
            structures=("fat", "a b"),
            statistics=SETTINGS.statistics[:1],
            image=ImageSettings(channels=3, window=(-100, 400.5), dimension=3),
            split=SplitSettings(train=1, select=0, calibrate=0, test=0, seed=7),
        )
        (tmp_path / "study.toml").write_text(settings.to_toml(), encoding="utf-8")
        assert StudySettings.from_toml(tmp_path / "study.toml") == settings
        assert StudySettings.from_toml(tmp_path / "study.toml").to_toml() == settings.to_toml()

    @given(st.text(min_size=1))
    def test_any_text_round_trips(self, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
        path = tmp_path_factory.mktemp("toml") / "study.toml"
        name = name.encode("utf-8", "ignore").decode()
        path.write_bytes(StudySettings(name=name, structures=("x",)).to_toml().encode())
        assert StudySettings.from_toml(path).name == name

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ('name = "demo"', 'name = "demo"\ncolour = "red"', "key colour: unknown key"),
            ("channels = 1", "chanels = 1", "key image.chanels: unknown key"),
            ("channels = 1", "channels = 2", "key image.channels: this value cannot be used; found 2; expected 1 or 3"),
            ("channels = 1", 'channels = "1"', "key image.channels: this value cannot be used; found '1'"),
            ("dimension = 2", "dimension = 2\nwindow = [5, 1]", "expected two finite values, the lower first"),
            ('name = "demo"\n', "", "key name: this key is missing"),
            ('name = "demo"', "name = 3", "key name: this value cannot be used; found 3; expected a valid string"),
            ('structures = ["fat", "muscle"]', 'structures = "fat"', "key structures: this value cannot be used"),
            ('structures = ["fat", "muscle"]', "structures = []", "key structures: no structure is named"),
            ('structures = ["fat", "muscle"]', 'structures = ["fat", "fat"]', "key structures: a name is there twice"),
            ('structures = ["fat", "muscle"]', 'structures = ["fat"]', "unknown structure; found 'muscle'"),
            ('structures = ["fat", "muscle"]', 'structures = ["(none of these)"]', "no name for a structure"),
            ("train = 0.6", "train = 0.7", "key split: the shares do not divide the whole; found train 0.7"),
            ("seed = 0", "seed = 0.5", "key split.seed: this value cannot be used; found 0.5"),
            ('kind = "area_fraction"', 'kind = "size"', "key statistics[0].kind: unknown kind; found 'size'"),
            ('unit = "percent"', 'unit = "per cent"', "statistic 'ratio': unit does not fit"),
            ('unit = "percent"', 'units = "percent"', "key statistics[1].units: unknown key"),
            ('name = "share"\n', "", "key statistics[0].name: this key is missing"),
            ('of = ["muscle"]', 'of = "muscle"', "key statistics[2].of: wrong type; found 'muscle'"),
            ('name = "ratio"', 'name = "share"', "key statistics: a name is there twice"),
            ("format = 1", "format = 2", "key format: this study folder has another format; found 2; expected 1"),
            ("format = 1\n", "", "key format: this study folder has another format; found None"),
        ],
    )
    def test_each_fault_names_its_key(self, study: Study, old: str, new: str, says: str) -> None:
        _edit(study.folder / "study.toml", old, new)
        with pytest.raises(StudyError) as caught:
            Study.open(study.folder)
        assert says in str(caught.value)
        assert str(study.folder / "study.toml") in str(caught.value)
        assert "expected expected" not in str(caught.value)
        assert "expected Input" not in str(caught.value)

    @pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[image\n"])
    def test_a_file_that_is_no_toml_is_a_read_error(self, study: Study, content: bytes) -> None:
        (study.folder / "study.toml").write_bytes(content)
        with pytest.raises(ReadError, match=r"study\.toml: this is not a TOML file"):
            Study.open(study.folder)

    def test_from_python_the_errors_are_those_of_a_configuration(self) -> None:
        with pytest.raises(ConfigError, match="key colour: unknown key"):
            StudySettings(name="a", structures=("x",), colour="red")
        with pytest.raises(ConfigError, match=r"key image\.channels"):
            ImageSettings(channels=2)
        with pytest.raises(ConfigError, match="key split: the shares"):
            SplitSettings(train=0.9)


class TestRoundTrip:
    """What is stored comes back."""

    def test_cases(self, study: Study, tmp_path: Path) -> None:
        again = Study.open(study.folder)
        assert again.settings == SETTINGS
        assert again.cases == study.cases
        case = again.case("c1")
        assert (case.group, case.split, case.stratum, case.spacing) == ("g0", "train", "", None)
        assert case.image == tmp_path / "images" / "c1.png"
        assert [case.id for case in again.split("test")] == ["c4", "c5"]
        assert again.split("select") == ()

    def test_the_folder_can_move_with_its_images(self, tmp_path: Path) -> None:
        make_study(tmp_path / "old")
        (tmp_path / "old").rename(tmp_path / "new")
        study = Study.open(tmp_path / "new" / "study")
        assert study.cases[0].image == tmp_path / "new" / "images" / "c0.png"
        assert study.cases[0].read().space == (24, 36)

    def test_a_study_opens_without_its_images(self, study: Study, tmp_path: Path) -> None:
        shutil.rmtree(tmp_path / "images")
        assert len(Study.open(study.folder).cases) == 6

    def test_names_of_every_language(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path / "Bilder, übrige", 1)
        named = Case("benign (1) é, ü", cases[0].image, group="P, 1", split="test", stratum='"a"', spacing=(0.1, 0.2))
        study = Study.create(tmp_path / "étude", SETTINGS, [named])
        case = Study.open(study.folder).cases[0]
        assert (case.id, case.group, case.stratum, case.spacing) == ("benign (1) é, ü", "P, 1", '"a"', (0.1, 0.2))
        assert case.read().spacing == (0.1, 0.2)

    def test_cases_without_splits_are_dealt_by_group(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path / "images", 20)
        unsplit = [Case(case.id, case.image, group=case.group) for case in cases]
        study = Study.create(tmp_path / "study", SETTINGS, unsplit)
        assert {name: len(study.split(name)) for name in ("train", "test")} == {"train": 12, "test": 4}
        assert len({(case.group, case.split) for case in study.cases}) == 10

    def test_the_spacing_of_the_table_is_what_counts(self, tmp_path: Path) -> None:
        import SimpleITK

        volume = SimpleITK.Image(4, 3, 2, SimpleITK.sitkUInt8)
        SimpleITK.WriteImage(volume, str(tmp_path / "a.nii"))
        settings = StudySettings(name="a", structures=("x",), image=ImageSettings(dimension=3))
        unknown = Study.create(tmp_path / "1", settings, [Case("a", tmp_path / "a.nii")])
        assert unknown.cases[0].read().spacing is None
        known = Study.create(tmp_path / "2", settings, [Case("a", tmp_path / "a.nii", spacing=(10.0, 1.5, 1.5))])
        assert Study.open(known.folder).cases[0].read().spacing == (10.0, 1.5, 1.5)

    def test_a_changed_image_is_noticed_when_it_is_decoded(self, study: Study) -> None:
        PIL.Image.new("L", (36, 24)).save(study.case("c0").image)
        with pytest.raises(ReadError, match="image of the case 'c0' has changed") as caught:
            study.case("c0").read()
        assert str(study.case("c0").image) in str(caught.value)


class TestCreate:
    """All or nothing."""

    def test_a_study_is_not_overwritten_by_accident(self, study: Study) -> None:
        before = {path.name: path.read_bytes() for path in study.folder.iterdir()}
        with pytest.raises(StudyError, match="holds a study already"):
            Study.create(study.folder, SETTINGS, study.cases)
        assert {path.name: path.read_bytes() for path in study.folder.iterdir()} == before
        study.marks.add_raster("c0", "people", "fat", mask_of(0, 0))
        again = Study.create(study.folder, SETTINGS, study.cases[:2], overwrite=True)
        assert len(again.cases) == 2
        assert again.number_variants() == ()
        assert again.marks.sets()["people"].marks == 1
        with pytest.raises(StudyError, match="no full masks"):
            _ = again.truth

    @pytest.mark.parametrize("name", ["cases.csv", "statistics.csv", "truth.csv"])
    def test_a_table_of_that_name_is_not_overwritten_by_accident(self, study: Study, tmp_path: Path, name: str) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / name).write_text("precious")
        with pytest.raises(StudyError, match=f"found {name}"):
            Study.create(tmp_path / "mine", SETTINGS, study.cases)
        assert (tmp_path / "mine" / name).read_text() == "precious"

    def test_what_contradicts_itself_is_not_written(self, tmp_path: Path) -> None:
        cases, truth = write_images(tmp_path / "images", 2)
        faults: list[Callable[[], object]] = [
            lambda: Study.create(tmp_path / "s", SETTINGS, [*cases, cases[0]]),
            lambda: Study.create(tmp_path / "s", SETTINGS, []),
            lambda: Study.create(tmp_path / "s", SETTINGS, cases, numbers=[NumberRow("c0", "share", value=1.5)]),
            lambda: Study.create(tmp_path / "s", SETTINGS, cases, truth=[TruthRow("c9", "fat", truth[0].path)]),
            lambda: Study.create(tmp_path / "s", SETTINGS, cases, truth=[TruthRow("c0", "bone", truth[0].path)]),
        ]
        for fault in faults:
            with pytest.raises(StudyError):
                fault()
        with pytest.raises(ReadError, match="No such file"):
            Study.create(tmp_path / "s", SETTINGS, [Case("a", tmp_path / "none.png")])
        assert not (tmp_path / "s").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
    def test_a_read_only_folder_keeps_the_old_study(self, bound_folder: Path) -> None:
        study = make_study(bound_folder)
        study.folder.chmod(0o555)
        try:
            with pytest.raises(StorageError):
                Study.create(study.folder, SETTINGS, study.cases[:1], overwrite=True)
            with pytest.raises(StorageError):
                study.add_numbers([NumberRow("c0", "share", value=0.5)], "simulated")
            assert Study.open(study.folder).numbers() == study.numbers()
            assert len(Study.open(study.folder).cases) == 6
        finally:
            study.folder.chmod(0o755)

    _LIMITED = """
import resource, sys
from tallymark.data.study import Study, Case, NumberRow
from tallymark.errors import StorageError
study = Study.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
for write in (
    lambda: Study.create(study.folder, study.settings, study.cases, overwrite=True),
    lambda: study.add_numbers([NumberRow(case.id, "share", value=0.123456789) for case in study.cases] , "x" * 200),
):
    try:
        write()
    except StorageError as error:
        print(error)
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
    def test_a_full_disk_keeps_the_old_study(self, study: Study) -> None:
        before = {path.name: path.read_bytes() for path in study.folder.iterdir()}
        done = subprocess.run(
            [sys.executable, "-c", self._LIMITED, study.folder], capture_output=True, text=True, check=True
        )
        assert done.stdout.count("cannot be written; found File too large") == 2
        assert {path.name: path.read_bytes() for path in study.folder.iterdir()} == before

    _FOREVER = """
import itertools, sys
from tallymark.data.study import Study, NumberRow
study = Study.open(sys.argv[1])
settings, cases = study.settings, study.cases
for turn in itertools.count(1):
    count = 1 + turn % len(cases)
    rows = [NumberRow(case.id, "share", value=count / 10) for case in cases[:count]]
    Study.create(study.folder, settings, cases[:count], numbers=rows, overwrite=True)
    print(turn, flush=True)
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    @pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.full)])
    def test_a_kill_in_the_middle_leaves_a_whole_study_or_says_so(self, study: Study, kills: int) -> None:
        for attempt in range(kills):
            command = [sys.executable, "-c", self._FOREVER, str(study.folder)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(0.005 + 0.0011 * attempt)
                process.send_signal(signal.SIGKILL)
                process.stdout.read()
            if not (study.folder / "study.toml").exists():
                with pytest.raises(StudyError, match="not made to the end"):
                    Study.open(study.folder)
            else:
                opened = Study.open(study.folder)
                count = len(opened.cases)
                assert {number.value for number in opened.numbers().values()} == {count / 10}
                assert len(opened.numbers()) == count
            study = Study.create(study.folder, SETTINGS, study.cases, overwrite=True)


class TestFaults:
    """Faults in tables that people edit."""

    @pytest.mark.parametrize(
        ("table", "old", "new", "says"),
        [
            ("cases.csv", "c1,", "c0,", "row 3, column id: this id occurs twice; found 'c0', as in"),
            ("cases.csv", "c1,", "C0,", "row 3, column id: this id occurs twice; found 'C0', as in"),
            ("cases.csv", "c1,", "c/1,", "row 3, column id: this id cannot name a file; found 'c/1'"),
            ("cases.csv", "c1,", ",", "row 3, column id: this id cannot name a file; found ''"),
            ("cases.csv", "c1,", "..,", "row 3, column id: this id cannot name a file"),
            ("cases.csv", "c1,", "con,", "row 3, column id: this id cannot name a file"),
            ("cases.csv", "c1,", f"{'x' * 201},", "row 3, column id: this id cannot name a file"),
            ("cases.csv", "../images/c1.png,", ",", "row 3, column image: the image is missing"),
            ("cases.csv", "g0,train", "g0,trian", "row 2, column split: unknown split; found 'trian'"),
            ("cases.csv", "g2,test", "g1,test", "row 6, column split: the group 'g1' is in two splits; found test"),
            ("cases.csv", "g2,test", ",test", "row 6, column group: the group is missing"),
            ("cases.csv", "test,,", "test,,0.5", "row 6, column spacing: the spacing does not fit; found '0.5'"),
            ("cases.csv", "test,,", "test,,0.5 -1", "row 6, column spacing: the spacing does not fit"),
            ("cases.csv", "test,,", "test,,0.5 x", "row 6, column spacing: the spacing is not a list of numbers"),
            ("cases.csv", "id,image,sha256", "id,image,sha255", "row 1: the column 'sha256' is missing"),
            ("cases.csv", "id,image", "id,colour,image", "row 1: the column 'colour' is unknown"),
            ("statistics.csv", "image,c1", "picture,c1", "row 3, column level: unknown level; found 'picture'"),
            ("statistics.csv", "image,c1", "image,c9", "row 3, column id: no such id of a case in cases.csv"),
            ("statistics.csv", "image,c1", "group,c1", "row 3, column id: no such group in cases.csv; found 'c1'"),
            ("statistics.csv", "image,c1", "image,c0", "row 3: this number is there twice; found 'share' of 'c0'"),
            ("statistics.csv", "c1,share", "c1,size", "row 3, column statistic: unknown statistic; found 'size'"),
            ("statistics.csv", "c1,share,,", "c1,share,muscle,", "row 3, column structure: the statistic 'share' is"),
            ("statistics.csv", "0.25,0.2", "a lot,0.2", "row 2, column value: this is not a number; found 'a lot'"),
            ("statistics.csv", "0.25,0.2", "25%,0.2", "without the % sign"),
            ("statistics.csv", "0.25,0.2", '"0,25",0.2', "write a point in place of the comma"),
            ("statistics.csv", "0.25,0.2", "nan,0.2", "row 2, column value: this is not a number; found 'nan'"),
            ("statistics.csv", "0.25,0.2", "1e999,0.2", "row 2, column value: this is no area_fraction"),
            (
                "statistics.csv",
                "0.25,0.2,0.3",
                "12.3,,",
                "found 12.3; expected 0 to 1; to mend it: correct the number;",
            ),
            ("statistics.csv", "0.25,0.2,0.3", "-0.1,,", "row 2, column value: this is no area_fraction in the unit"),
            ("statistics.csv", "0.25,0.2,0.3", ",0.2,1.3", "row 2, column high: this is no area_fraction"),
            ("statistics.csv", "0.25,0.2,0.3", "0.25,0.3,0.2", "row 2: the interval is empty; found low 0.3, high 0.2"),
            ("statistics.csv", "0.25,0.2,0.3", "0.1,0.2,0.3", "row 2, column value: the value lies outside"),
            ("statistics.csv", "0.3,recorded", "0.3,", "row 2, column variant: the variant is missing"),
            ("statistics.csv", "0.3,recorded", "0.3,recorded,1", "row 2: this row does not fit the header"),
        ],
    )
    def test_each_names_file_row_and_column(self, study: Study, table: str, old: str, new: str, says: str) -> None:
        _edit(study.folder / table, old, new)
        with pytest.raises(StudyError) as caught:
            Study.open(study.folder)
        assert says in str(caught.value)
        assert str(study.folder / table) in str(caught.value)

    def test_a_folder_without_a_study_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match="holds no study"):
            Study.open(tmp_path)
        with pytest.raises(StudyError, match="holds no study"):
            Study.open(tmp_path / "none")

    def test_a_missing_table_says_so(self, study: Study) -> None:
        (study.folder / "cases.csv").unlink()
        with pytest.raises(ReadError, match=r"cases\.csv: cannot be read; found No such file"):
            Study.open(study.folder)

    def test_unknown_names_say_what_there_is(self, study: Study) -> None:
        with pytest.raises(StudyError, match=r"no such case; found 'x'"):
            study.case("x")
        with pytest.raises(StudyError, match="expected train, select, calibrate, test"):
            study.split("validation")


class TestNumbers:
    """Canonical units, variants, intervals, groups."""

    def test_percent_and_square_centimetres_become_canonical(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path / "images", 2)
        rows = [
            NumberRow("c0", "ratio", value=25, low=20, high=30),
            NumberRow("c0", "area", value=2),
            NumberRow("c1", "share", low=0.1, high=0.2),
            NumberRow("g0", "share", value=0.5, level="group"),
        ]
        study = Study.create(tmp_path / "study", SETTINGS, cases, numbers=rows)
        numbers = Study.open(study.folder).numbers()
        assert len(numbers) == 3
        ratio = numbers["c0", "ratio"]
        assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.25, 0.2, 0.3))
        area = numbers["c0", "area"]
        assert area.value == 200
        assert math.isnan(area.low)
        assert math.isnan(area.high)
        assert math.isnan(numbers["c1", "share"].value)
        assert study.group_numbers()["g0", "share"].value == 0.5

    def test_the_recorded_variant_comes_first_and_stays(self, study: Study) -> None:
        study.add_numbers([NumberRow("c0", "share", value=0.5)], "noisy")
        assert study.number_variants() == ("recorded", "noisy")
        assert study.numbers()["c0", "share"].value == 0.25
        assert study.numbers("noisy")["c0", "share"].value == 0.5
        before = (study.folder / "statistics.csv").read_bytes()
        with pytest.raises(StudyError, match="recorded numbers are never replaced"):
            study.add_numbers([NumberRow("c0", "share", value=0.5)], "recorded")
        with pytest.raises(StudyError, match="expected 0 to 1"):
            study.add_numbers([NumberRow("c0", "share", value=5)], "noisy")
        assert (study.folder / "statistics.csv").read_bytes() == before

    def test_a_simulated_variant_is_replaced_as_a_whole(self, study: Study) -> None:
        study.add_numbers([NumberRow("c0", "share", value=0.5), NumberRow("c1", "share", value=0.5)], "noisy")
        study.add_numbers([NumberRow("c2", "share", value=0.125)], "noisy")
        for opened in (study, Study.open(study.folder)):
            assert {key: number.value for key, number in opened.numbers("noisy").items()} == {("c2", "share"): 0.125}
            assert len(opened.numbers("recorded")) == 6

    def test_which_numbers_must_be_clear(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path / "images", 1)
        study = Study.create(tmp_path / "study", SETTINGS, cases)
        with pytest.raises(StudyError, match=r"which numbers\?; found no numbers"):
            study.numbers()
        study.add_numbers([NumberRow("c0", "share", value=0.5)], "a")
        assert study.numbers()["c0", "share"].value == 0.5
        study.add_numbers([NumberRow("c0", "share", value=0.5)], "b")
        with pytest.raises(StudyError, match=r"which numbers\?; found a, b"):
            study.numbers()
        with pytest.raises(StudyError, match=r"no numbers of the variant 'c'; found a, b"):
            study.numbers("c")

    @given(st.floats(0, 1), st.floats(0, 1))
    def test_numbers_read_back_exactly(self, tmp_path_factory: pytest.TempPathFactory, a: float, b: float) -> None:
        folder = tmp_path_factory.mktemp("study")
        cases, _ = write_images(folder / "images", 1)
        row = NumberRow("c0", "share", low=min(a, b), high=max(a, b))
        Study.create(folder / "study", SETTINGS, cases, numbers=[row])
        number = Study.open(folder / "study").numbers()["c0", "share"]
        assert (number.low, number.high) == (row.low, row.high)


class TestTruth:
    """Full masks are opened only when asked for."""

    def test_masks_come_back(self, study: Study) -> None:
        assert np.array_equal(study.truth.mask(study.case("c2"), "muscle"), mask_of(2, 1))

    def test_several_files_are_a_union_and_codes_are_chosen(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path / "images", 1)
        labels = np.zeros((24, 36), np.uint8)
        labels[0], labels[1], labels[2] = 1, 2, 3
        PIL.Image.fromarray(labels).save(tmp_path / "labels.png")
        PIL.Image.fromarray(mask_of(5, 1)).save(tmp_path / "more.png")
        truth = [
            TruthRow("c0", "fat", tmp_path / "labels.png", codes=(1, 3)),
            TruthRow("c0", "fat", tmp_path / "more.png"),
            TruthRow("c0", "muscle", tmp_path / "labels.png", codes=(2,)),
        ]
        study = Study.open(Study.create(tmp_path / "study", SETTINGS, cases, truth).folder)
        assert np.array_equal(study.truth.mask(study.cases[0], "fat"), np.isin(labels, (1, 3)) | mask_of(5, 1))
        assert np.array_equal(study.truth.mask(study.cases[0], "muscle"), labels == 2)

    def test_a_study_never_opens_the_truth_unasked(self, study: Study) -> None:
        (study.folder / "truth.csv").unlink()
        (study.folder / "truth.csv").mkdir()  # nobody can read this
        opened = Study.open(study.folder)
        opened.add_numbers([NumberRow("c0", "share", value=0.5)], "noisy")
        opened.marks.add_raster("c0", "people", "fat", mask_of(0, 0))
        assert opened.numbers()
        with pytest.raises(ReadError):
            _ = opened.truth

    def test_no_mask_is_not_an_empty_mask(self, study: Study) -> None:
        path = study.folder / "truth.csv"
        path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("c0,fat")))
        truth = Study.open(study.folder).truth
        assert not truth.has("c0", "fat")
        assert truth.has("c0", "muscle")
        with pytest.raises(StudyError, match="no full mask of 'fat' for the case 'c0'"):
            truth.mask(study.case("c0"), "fat")

    def test_a_mask_of_another_size_is_refused(self, tmp_path: Path) -> None:
        cases, truth = write_images(tmp_path / "images", 1)
        PIL.Image.fromarray(mask_of(0, 0, (36, 24))).save(truth[0].path)
        study = Study.create(tmp_path / "study", SETTINGS, cases, truth)
        with pytest.raises(GeometryError, match=r"found \(36, 24\); expected \(24, 36\)") as caught:
            study.truth.mask(study.cases[0], "fat")
        assert str(truth[0].path) in str(caught.value)

    def test_a_changed_mask_is_noticed(self, study: Study) -> None:
        PIL.Image.fromarray(mask_of(5, 0)).save(study.truth.rows("c0", "fat")[0].path)
        with pytest.raises(ReadError, match="mask of the case 'c0' has changed"):
            study.truth.mask(study.case("c0"), "fat")

    @pytest.mark.parametrize(
        ("old", "new", "error", "says"),
        [
            ("c1,fat", "c9,fat", StudyError, "row 4, column id: no such id"),
            ("c1,fat", "c1,bone", StudyError, "row 4, column structure: unknown structure; found 'bone'"),
            ("c1_fat.png,,", "c1_fat.png,a b,", StudyError, "row 4, column codes: the codes are not whole numbers"),
            ("id,structure", "id,struct", StudyError, "row 1: the column 'structure' is missing"),
        ],
    )
    def test_each_fault_names_its_row(
        self, study: Study, old: str, new: str, error: type[TallymarkError], says: str
    ) -> None:
        _edit(study.folder / "truth.csv", old, new)
        with pytest.raises(error) as caught:
            _ = Study.open(study.folder).truth
        assert says in str(caught.value)


def test_a_statistic_may_be_given_as_it_stands_in_the_file() -> None:
    settings = StudySettings(
        name="a", structures=["x"], statistics=[{"name": "s", "kind": "area_fraction", "of": ["x"]}]
    )
    assert settings.statistics == (Statistic("s", "area_fraction", ("x",)),)
