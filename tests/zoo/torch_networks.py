"""Networks from PyTorch: torchvision's, timm's, Hugging Face's and YOLO's, with random weights."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.trial import DYNAMO, LEGACY, NOTHING_SAID, Trial, Tried, by_name, from_file, writing
from whycam.export.exporter import Wanted
from whycam.export.preprocessing import PREPROCESSING
from whycam.export.sources.find_source import find_source
from whycam.export.verify.synthetic_images import scenes

TORCHVISION = {
    "AlexNet": "alexnet",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "ResNet18": "resnet18",
    "ResNet50": "resnet50",
    "ResNeXt50": "resnext50_32x4d",
    "DenseNet121": "densenet121",
    "SqueezeNet": "squeezenet1_1",
    "GoogLeNet": "googlenet",
    "InceptionV3": "inception_v3",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3-Large": "mobilenet_v3_large",
    "MNASNet": "mnasnet1_0",
    "ShuffleNetV2": "shufflenet_v2_x1_0",
    "EfficientNet-B0": "efficientnet_b0",
    "EfficientNetV2-S": "efficientnet_v2_s",
    "RegNetY-400MF": "regnet_y_400mf",
    "ConvNeXt-Tiny": "convnext_tiny",
    "Swin-T": "swin_t",
    "ViT-B/16": "vit_b_16",
}
SATURATED = {"InceptionV3, --score logit": "inception_v3"}
"""Their random weights make probabilities of 1, so the logit can be compared only."""
TIMM = (
    "tf_efficientnet_lite0",
    "convnext_atto",
    "regnety_002",
    "mobilenetv4_conv_small",
    "ghostnet_100",
    "rexnet_100",
    "dla34",
    "nfnet_l0",
    "vit_tiny_patch16_224",
    "hardcorenas_a",
    "mixnet_s",
    "fastvit_t8",
)
HUGGING_FACE: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet": ("ResNet", {"embedding_size": 32, "hidden_sizes": [32, 64, 128, 256], "depths": [2, 2, 2, 2]}),
    "ConvNeXt": ("ConvNext", {"hidden_sizes": [32, 64, 128, 256], "depths": [2, 2, 2, 2]}),
    "MobileNetV2": ("MobileNetV2", {}),
    "RegNet": ("RegNet", {"embedding_size": 32, "hidden_sizes": [32, 64, 128, 256], "depths": [1, 2, 3, 1]}),
    "EfficientNet": ("EfficientNet", {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}),
    "ViT": ("ViT", {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "num_hidden_layers": 4}),
}
"""Name of the class, and what differs from its configuration's default."""
DEEP = ("EfficientNet",)
"""Those of Hugging Face in whose last layer no image is left without statistics."""
SIZE = 224


def trials() -> list[Trial]:
    """All of them."""
    return [
        *by_name("torchvision", "torchvision", TORCHVISION, DYNAMO),
        *by_name("torchvision", "torchvision", SATURATED, DYNAMO, Wanted(score="logit")),
        Trial("torchvision", "ViT-B/16 with --weights FILE", DYNAMO, _with_a_head),
        *by_name("timm", "timm", {name: name for name in TIMM}, DYNAMO),
        Trial("timm", "repvgg_a0 with --weights FILE", DYNAMO, partial(_normalized, "repvgg_a0")),
        *(_hugging_face(shown, DYNAMO) for shown in HUGGING_FACE),
        *(_hugging_face(shown, LEGACY) for shown in ("ResNet", "EfficientNet")),
        Trial("YOLO", "yolo11n-cls", "ultralytics", partial(_yolo, False)),
        Trial("YOLO", "yolo11n-cls with dynamic=True, --size 224x224", "ultralytics", partial(_yolo, True)),
    ]


def exported(
    network: Any, size: int, path: Path, exporter: str, opset: int | None = None, wanted: Wanted = NOTHING_SAID
) -> Tried:
    """A PyTorch network of images [N, 3, size, size] by one of PyTorch's two exporters."""
    import torch

    from whycam.export.verify.torch_autodiff import TorchNetwork

    network.eval()
    images = (torch.zeros(2, 3, size, size, dtype=next(network.parameters()).dtype),)
    options: dict[str, Any] = {"opset_version": opset} if opset else {}
    if exporter == DYNAMO:
        options |= {"dynamo": True, "external_data": False, "dynamic_shapes": ({0: torch.export.Dim("N", max=1024)},)}
    else:
        options |= {"dynamo": False, "input_names": ["image"], "dynamic_axes": {"image": {0: "N"}}}
    with writing(exporter):
        torch.onnx.export(network, images, str(path), verbose=False, **options)
    return from_file(path, TorchNetwork(network.float()), wanted)


def _normalized(name: str, folder: Path) -> Tried:
    """A network of timm whose normalizations have seen images."""
    import timm
    import torch

    torch.manual_seed(0)
    network = timm.create_model(name)
    _show_images(network)
    torch.save(network.state_dict(), folder / "weights.pth")
    return Tried(find_source(f"timm:{name}", str(folder / "weights.pth")))


def _show_images(network: Any) -> None:
    """Give a network's normalizations the statistics of images: else, in a deep one, an image hardly changes a map."""
    import torch

    network.train()
    for each in network.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            each.momentum = None  # the statistics are those of these images
    images = PREPROCESSING["imagenet"].apply(scenes(8, SIZE, SIZE, seed=1)).transpose(0, 3, 1, 2)
    with torch.no_grad():
        network(torch.from_numpy(np.ascontiguousarray(images)))
    network.eval()


def _with_a_head(folder: Path) -> Tried:
    """torchvision's ViT-B/16, whose last layer is all zero without training, with another one."""
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.vit_b_16(weights=None)
    torch.nn.init.normal_(network.heads.head.weight, std=0.05)
    torch.save(network.state_dict(), folder / "weights.pth")
    return Tried(find_source("torchvision:vit_b_16", str(folder / "weights.pth")))


def _hugging_face(shown: str, exporter: str) -> Trial:
    def make(folder: Path) -> Tried:
        import torch
        import transformers

        name, options = HUGGING_FACE[shown]
        torch.manual_seed(0)
        configuration = getattr(transformers, f"{name}Config")(num_labels=10, **options)
        network = getattr(transformers, f"{name}ForImageClassification")(configuration)
        if shown in DEEP:
            _show_images(network)
        configuration.to_json_file(folder / "config.json", use_diff=False)

        class Logits(torch.nn.Module):  # type: ignore[misc, unused-ignore]
            """What optimum exports of it."""

            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, images: Any) -> Any:
                return self.network(images).logits

        return exported(Logits(), SIZE, folder / "model.onnx", exporter)

    return Trial("Hugging Face", shown, exporter, make)


def _yolo(dynamic: bool, folder: Path) -> Tried:
    os.environ |= {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(folder)}
    import torch
    from ultralytics import YOLO

    from whycam.export.verify.torch_autodiff import TorchNetwork

    os.chdir(folder)
    torch.manual_seed(0)
    network = YOLO("yolo11n-cls.yaml")
    path = network.export(format="onnx", imgsz=SIZE, simplify=False, dynamic=dynamic)
    inner = network.model.float().eval()
    for each in inner.modules():
        if hasattr(each, "export"):
            each.export = True  # it gives its probabilities then, and not its logits beside them
    wanted = Wanted(preprocessing=PREPROCESSING["plain"], size=(SIZE, SIZE) if dynamic else None)
    return from_file(Path(path), TorchNetwork(inner), wanted)
