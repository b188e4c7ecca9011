"""References for tests/models: weights, inputs and outputs of small models of torch, torchvision and open_clip.

tests/data/models_*.npz has weights that are random and rounded to float16, so that they take little space, and outputs
that are computed in float64. Arrays have PyTorch's names:

    weight/NAME        state-dict entry before training
    images, tokens     inputs; images as bytes b for the values b / 64 - 2, channels last
    features           output in evaluation mode (running statistics)
    train_features     output in training mode (batch statistics), if the model has batch norm
    running/NAME       running statistics after that one training pass
    gradient/NAME      gradient of sum(output · cotangent), in training mode if the model has batch norm
    cotangent
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU, TextTransformer, VisionTransformer
from torchvision.models.resnet import BasicBlock, conv1x1

SIZES = {"width": 32, "layers": 2, "heads": 4, "output_dim": 16}  # of transformers
TOWERS = {
    "modified_resnet": partial(ModifiedResNet, [2, 1, 1, 1], output_dim=16, heads=4, image_size=64, width=4),
    "vit": partial(VisionTransformer, image_size=32, patch_size=8, mlp_ratio=4.0, **SIZES),
}


class BasicResNet(torch.nn.Module):
    """A 3×3 stem at full resolution and torchvision's basic blocks; every stage has stride 2."""

    def __init__(self, blocks: tuple[int, ...], width: int, output_dim: int):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        channels = [width, width, 2 * width, 4 * width]
        for i, count in enumerate(blocks):
            inputs, outputs = channels[i], channels[i + 1]
            shortcut = torch.nn.Sequential(conv1x1(inputs, outputs, 2), torch.nn.BatchNorm2d(outputs))
            stage = [BasicBlock(inputs, outputs, 2, shortcut)] + [BasicBlock(outputs, outputs)] * (count - 1)
            setattr(self, f"layer{i + 1}", torch.nn.Sequential(*stage))
        self.fc = torch.nn.Linear(4 * width, output_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def randomize(model: torch.nn.Module) -> None:
    """Give gains, biases and running statistics values that reveal errors in their use."""
    for name, value in model.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1 and value.is_floating_point():
            value.uniform_(-0.3, 0.3)
    model.half().double()


def record(model: torch.nn.Module, kind: str, inputs: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays that the module's docstring lists, with gradients of the `names` parameters only."""
    randomize(model)
    arrays = {f"weight/{k}": v.numpy().astype(np.float16) for k, v in model.state_dict().items() if v.ndim}
    x = torch.from_numpy(inputs)
    if kind == "images":
        x = x.permute(0, 3, 1, 2).double() / 64 - 2
    with torch.no_grad():
        features = model.eval()(x)
    cotangent = torch.from_numpy(np.random.default_rng(1).normal(size=features.shape).astype(np.float16)).double()
    output = model.train()(x)
    (output * cotangent).sum().backward()
    arrays |= {kind: inputs, "features": features.numpy(), "cotangent": cotangent.numpy().astype(np.float16)}
    arrays |= {f"gradient/{k}": p.grad.numpy() for k, p in model.named_parameters() if k in names}
    running = {f"running/{k}": v.numpy() for k, v in model.state_dict().items() if "running" in k}
    if running:
        arrays |= running | {"train_features": output.detach().numpy()}
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in arrays.items()}


def references(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    torch.manual_seed(0)
    random = np.random.default_rng(0)

    def images(batch: int, size: int) -> np.ndarray:
        return random.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)

    files = {}
    names = ("conv1.weight", "bn1.weight", "layer1.1.bn3.bias", "layer3.0.downsample.0.weight")
    names += ("attnpool.positional_embedding", "attnpool.q_proj.bias")
    files["models_modified_resnet.npz"] = record(TOWERS["modified_resnet"](), "images", images(4, 64), names)
    names = ("conv1.weight", "bn1.weight", "layer2.1.conv2.weight", "layer3.0.downsample.1.bias", "fc.weight")
    basic = BasicResNet((1, 2, 1), width=4, output_dim=8)
    files["models_basic_resnet.npz"] = record(basic, "images", images(6, 16), names)
    names = ("class_embedding", "conv1.weight", "transformer.resblocks.0.attn.in_proj_weight", "ln_post.bias")
    files["models_vit.npz"] = record(TOWERS["vit"](), "images", images(3, 32), names)
    names = ("positional_embedding", "token_embedding.weight", "transformer.resblocks.1.mlp.c_fc.bias")
    text = TextTransformer(context_length=10, vocab_size=50, act_layer=QuickGELU, **SIZES)
    tokens = random.integers(1, 48, (3, 10))
    tokens[:, 0] = 48
    for row, end in enumerate((3, 9, 6)):
        tokens[row, end] = 49
        tokens[row, end + 1 :] = 0
    files["models_text.npz"] = record(text, "tokens", tokens.astype(np.int32), names)
    return files
