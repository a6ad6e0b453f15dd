"""Figures: the right lines at the right heights, nothing covered, bad logs refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tallymark.errors import EvaluationError, GeometryError, ReadError
from tallymark.pictures import agreement, bland_altman, curves, number_scatter, training
from tallymark.pictures.training import by_epoch


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every matplotlib figure that is finished, with its layout done."""
    figures: list[Any] = []
    for module in (agreement, training):
        finish: Callable[..., bytes] = module.finish

        def record(figure: Any, path: Path | None, finish: Callable[..., bytes] = finish) -> bytes:
            figures.append(figure)
            return finish(figure, path)

        monkeypatch.setattr(module, "finish", record)
    return figures


def log(**columns: Sequence[float | None]) -> pd.DataFrame:
    epochs = len(next(iter(columns.values())))
    names = {name.replace("__", "/"): values for name, values in columns.items()}
    return pd.DataFrame({"epoch": range(epochs), "step": range(epochs), **names})


def panels(png: bytes) -> int:
    with Image.open(io.BytesIO(png)) as image:
        return (image.width // 160 - 1) // 4


def test_held_out_panels_are_there_only_if_logged() -> None:
    losses = {"train__total": [1.0, 0.5]}
    assert panels(curves(log(**losses))) == 1
    assert panels(curves(log(**losses, select__number_error=[0.2, 0.1]))) == 2
    assert panels(curves(log(**losses, select__number_error=[0.2, 0.1], select__mark_hit_rate=[0.1, 0.9]))) == 3
    assert panels(curves(log(**losses, select__iou=[None, None]))) == 1


def test_every_term_has_a_line_with_its_values(drawn: list[Any]) -> None:
    curves(
        log(train__total=[1.0, 0.5], train__weak=[0.6, 0.2], select__number_error=[None, 0.1], select__iou=[0.3, 0.4])
    )
    losses, errors, rates = drawn[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for axes in (losses, errors, rates) for line in axes.lines}
    assert lines == {
        "total": [[0, 1.0], [1, 0.5]],
        "weak": [[0, 0.6], [1, 0.2]],
        "number error": [[1, 0.1]],
        "IoU": [[0, 0.3], [1, 0.4]],
    }
    assert errors.lines[0].get_marker() == "o", "a line of one point would not be seen"
    assert {axes.get_xlabel() for axes in drawn[0].axes} == {"epoch"}


def test_the_legend_covers_no_axes(drawn: list[Any]) -> None:
    terms = {f"train__term_{number}": [1.0, 0.5] for number in range(9)}
    curves(log(**terms, select__number_error=[0.2, 0.1]))
    figure = drawn[0]
    figure.draw_without_rendering()  # at the figure's own resolution, not the file's
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert not any(legend.overlaps(other.get_window_extent()) for other in figure.axes)
        assert legend.y0 >= 0
        assert legend.x0 >= 0
        assert legend.x1 <= width
        assert legend.y1 <= height


def test_losses_over_decades_are_drawn_on_a_logarithmic_scale(drawn: list[Any]) -> None:
    curves(log(train__a=[1.0, 0.9], train__b=[0.5, 0.4]))
    curves(log(train__a=[1.0, 0.9], train__b=[0.5, 0.001]))
    curves(log(train__a=[1.0, 0.9], train__b=[0.5, 0.0]))
    assert [figure.axes[0].get_yscale() for figure in drawn] == ["linear", "log", "linear"]


def test_rows_of_one_epoch_are_averaged_and_gaps_left_out() -> None:
    table = pd.DataFrame({"epoch": [0, 0, 1], "train/total": [1.0, 3.0, None], "select/iou": [None, 0.5, 0.7]})
    assert by_epoch(table)["train/total"].tolist()[0] == 2.0
    assert by_epoch(table)["select/iou"].tolist() == [0.5, 0.7]


def test_a_file_gives_the_same_picture_as_its_table(tmp_path: Path) -> None:
    table = log(train__total=[1.0, 0.5], select__number_error=[None, 0.25])
    table.to_csv(tmp_path / "metrics.csv", index=False)
    png = curves(tmp_path / "metrics.csv", tmp_path / "made" / "curves.png")
    assert png == curves(table)
    assert (tmp_path / "made" / "curves.png").read_bytes() == png


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not a table"),
        ("step,train/total\n0,1\n", "column epoch is missing"),
        ("epoch,train/total\n0,\n", "nothing was logged"),
        ("epoch,train/total\n0,high\n", "nothing was logged"),
        ("epoch,lr\n0,1\n", "nothing was logged"),
        ("epoch,a\n0,1,2,3\n0\n", "nothing was logged"),
        ('epoch,train/total\n0,"1\n', "not a table"),
    ],
)
def test_a_log_that_cannot_be_drawn_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ReadError, match=what) as caught:
        curves(path)
    assert caught.value.where == str(path)


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        curves(tmp_path / "metrics.csv")


def test_bias_and_limits_of_agreement(drawn: list[Any]) -> None:
    # Differences 0, 2 and 4: bias 2, standard deviation 2 (n - 1), limits 2 -+ 3.92. The pairs with NaN do not count.
    bland_altman([1, 4, 7, np.nan, 3], [1, 2, 3, 5, np.nan], unit="ml")
    (axes,) = drawn[0].axes
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert heights == pytest.approx([0, 2, 5.92, -1.92])
    assert axes.collections[0].get_offsets().tolist() == [[1, 0], [3, 2], [5, 4]]
    assert axes.get_ylabel() == "predicted minus recorded (ml)"
    assert [text.get_text() for text in axes.texts] == ["bias\n+2", "upper limit\n+5.92", "lower limit\n-1.92"]
    low, high = axes.get_ylim()
    assert low < -1.92
    assert high > 5.92


def test_one_pair_has_a_bias_and_no_limits(drawn: list[Any]) -> None:
    bland_altman([3.0], [1.0])
    assert [line.get_ydata()[0] for line in drawn[0].axes[0].lines] == [0, 2]


def test_scatter_shows_recorded_across_and_predicted_up(drawn: list[Any], tmp_path: Path) -> None:
    png = number_scatter([0.2, 0.4], [0.1, 0.5], tmp_path / "scatter.png", name="area fraction")
    (axes,) = drawn[0].axes
    assert axes.collections[0].get_offsets().tolist() == [[0.1, 0.2], [0.5, 0.4]]
    assert axes.get_xlabel() == "recorded area fraction"
    assert axes.get_xlim() == axes.get_ylim()
    assert (tmp_path / "scatter.png").read_bytes() == png


@pytest.mark.parametrize("draw", [bland_altman, number_scatter])
def test_numbers_that_make_no_pairs_are_refused(draw: Callable[..., bytes]) -> None:
    with pytest.raises(GeometryError, match="one number per image"):
        draw([1.0, 2.0], [1.0])
    with pytest.raises(EvaluationError, match="no image has both"):
        draw([np.nan, 1.0], [1.0, np.nan])


@pytest.mark.parametrize("draw", [bland_altman, number_scatter])
def test_equal_and_zero_numbers_are_drawn(draw: Callable[..., bytes]) -> None:
    assert draw([0.0, 0.0], [0.0, 0.0]).startswith(b"\x89PNG")
