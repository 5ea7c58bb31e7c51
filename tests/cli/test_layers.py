import pytest

from fastconv.cli.layers import CHOICES, layers
from fastconv.errors import ParameterError


def test_names_are_unique():
    for direction in CHOICES:
        names = [layer.name for layer in layers(direction)]
        assert len(names) == len(set(names)) >= 2


@pytest.mark.parametrize(
    ("direction", "name", "line"),
    [
        ("forward", "resnet50.conv1", "conv forward x=1x3x224x224 w=64x3x7x7 s=2 p=3 float32"),
        (
            "input",
            "alexnet.conv2",
            "conv input_gradient x=1x96x27x27 w=256x48x5x5 p=2 g=2 float32",
        ),
        (
            "weight",
            "mobilenetv2.dw2s2",
            "conv weight_gradient x=1x96x112x112 w=96x1x3x3 s=2 p=1 g=96 float32",
        ),
        ("forward", "wavenet.dilated", "conv forward x=1x64x4000 w=128x64x2 d=512 float32"),
        ("forward", "c3d.conv2", "conv forward x=1x64x8x28x28 w=128x64x3x3x3 p=1 float32"),
        ("pool", "resnet50.maxpool", "max_pool forward x=1x64x112x112 k=3x3 s=2 p=1 float32"),
        (
            "pool-backward",
            "resnet50.maxpool",
            "scatter forward x=1x64x112x112 o=56x56 float32",
        ),
        (
            "pool-backward",
            "inception.avgpool",
            "avg_pool input_gradient x=1x288x35x35 k=3x3 p=1 float32",
        ),
        ("unfold", "resnet50.conv1", "columns forward x=1x3x224x224 k=7x7 s=2 p=3 float32"),
        ("fold", "alexnet.conv2", "columns input_gradient x=1x96x27x27 k=5x5 p=2 float32"),
        ("pool", "densenet.avgpool", "avg_pool forward x=1x128x56x56 k=2x2 s=2 float32"),
    ],
)
def test_lines(direction, name, line):
    (layer,) = layers(direction, f"^{name}$")
    assert str(layer.problem) == line


def test_the_pattern_is_searched_for():
    assert {layer.name for layer in layers("forward", r"lenet\.conv\d$")} == {
        "lenet.conv1",
        "lenet.conv2",
        "lenet.conv3",
    }


def test_more_samples_at_a_time():
    found = layers("weight", r"^lenet|resnet50\.2\.3x3", batch=8)
    assert [layer.name for layer in found] == [
        "lenet.conv1.b8",
        "lenet.conv2.b8",
        "lenet.conv3.b8",
        "resnet50.2.3x3.b8",
    ]
    assert {layer.problem.conv.batch for layer in found} == {8}


@pytest.mark.parametrize(
    ("direction", "pattern", "message"),
    [
        ("forward", "[", "no regular expression"),
        ("forward", "nothing", "there are lenet.conv1, "),
        ("sideways", "", "direction: expected one of"),
    ],
)
def test_mistakes(direction, pattern, message):
    with pytest.raises(ParameterError, match=message):
        layers(direction, pattern)
