"""The networks whose layers are explained, as keys of `tests.zoo.trials`, the small ones first."""

from __future__ import annotations

TORCHVISION = (
    "ResNet18 MobileNetV2 SqueezeNet MobileNetV3-Large EfficientNet-B0 RegNetY-400MF ShuffleNetV2 MNASNet GoogLeNet "
    "DenseNet121 ConvNeXt-Tiny Swin-T ResNet50 ResNeXt50 EfficientNetV2-S ViT-B/16 AlexNet InceptionV3 VGG16"
)
TIMM = (
    "convnext_atto vit_tiny_patch16_224 regnety_002 mobilenetv4_conv_small tf_efficientnet_lite0 rexnet_100 mixnet_s "
    "fastvit_t8 ghostnet_100 hardcorenas_a dla34 nfnet_l0"
)
HUGGING_FACE = "ResNet ConvNeXt ViT RegNet MobileNetV2"


def keys() -> list[str]:
    """All of them."""
    groups = (("timm", TIMM), ("torchvision", TORCHVISION), ("Hugging Face", HUGGING_FACE))
    found = [[f"{group} / {name} / torch, dynamo" for name in names.split()] for group, names in groups]
    longest = max(len(each) for each in found)
    return [each[place] for place in range(longest) for each in found if place < len(each)]
