"""References for tests/objectives/test_dino_parity.py: six steps of DINO in torch, in float64.

Written from the papers' formulas: student and teacher on open_clip's modified ResNet, whose positions are resampled for
each size of crop, with targets by Sinkhorn–Knopp; gradients that are clipped parameter by parameter; prototypes that are held
in the first epoch; SGD with DINO's schedules; and a teacher that is the moving average of the student.

The weights are random numbers seeded by their names (tests/pretrained/seeded_weights.py), and the crops by their size.
dino_steps.npz has losses [STEPS], and student/NAME and teacher/NAME, the parameters and running statistics at the end,
rounded to float32.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from parity.positions_fixtures import resampled
from torch.nn.functional import gelu, normalize

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import dino_case as case  # noqa: E402
from pretrained.seeded_weights import draw_all  # noqa: E402

STUDENT_TEMPERATURE, TEACHER_TEMPERATURE, ITERATIONS = 0.1, 0.04, 3
POSITIONS = "attnpool.positional_embedding"


class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        widths = (case.OUTPUT_DIM, case.HIDDEN, case.HIDDEN, case.BOTTLENECK)
        self.mlp = torch.nn.ModuleList(torch.nn.Linear(*sizes) for sizes in zip(widths, widths[1:]))
        self.prototypes = torch.nn.Parameter(torch.empty(case.PROTOTYPES, case.BOTTLENECK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, last = self.mlp
        return normalize(last(gelu(second(gelu(first(x))))), dim=-1) @ normalize(self.prototypes, dim=-1).T


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = ModifiedResNet(
            [1, 1, 1, 1], case.OUTPUT_DIM, case.HEADS, image_size=case.SIZES["global"], width=case.WIDTH
        )
        self.head = Head()

    def forward(self, crops: list[torch.Tensor]) -> torch.Tensor:
        """Logits [view, sample, prototype] of crops [sample, view, 3, side, side] of each size."""
        features = []
        for batch in crops:
            samples, views = batch.shape[:2]
            side = batch.shape[-1] // 32
            positions = resampled(self.visual.attnpool.positional_embedding, side, side)
            flat = torch.func.functional_call(self.visual, {POSITIONS: positions}, batch.flatten(0, 1))
            features.append(flat.unflatten(0, (samples, views)))
        return self.head(torch.cat(features, 1)).transpose(0, 1)


def sinkhorn(logits: torch.Tensor) -> torch.Tensor:
    """Targets of [sample, prototype]."""
    shares = torch.exp(logits / TEACHER_TEMPERATURE).T
    shares /= shares.sum()
    for _ in range(ITERATIONS):
        shares /= shares.sum(1, keepdim=True) * shares.shape[0]
        shares /= shares.sum(0, keepdim=True) * shares.shape[1]
    return (shares * shares.shape[1]).T


def cosine(start: float, end: float, warmup: int = 0) -> np.ndarray:
    """A value for each of all steps, after a linear warm-up from 0."""
    steps = np.arange(case.TOTAL_STEPS - warmup)
    decay = end + 0.5 * (start - end) * (1 + np.cos(np.pi * steps / len(steps)))
    return np.concatenate([np.linspace(0, start, warmup), decay])


def train() -> dict[str, np.ndarray]:
    student = Network()
    shapes = {key: list(value.shape) for key, value in student.state_dict().items()}
    student.double().load_state_dict({key: torch.from_numpy(value) for key, value in draw_all(shapes).items()})
    teacher = copy.deepcopy(student)
    crops = [torch.from_numpy(case.draw_crops(kind)).permute(0, 1, 4, 2, 3).double() / 255 for kind in case.SIZES]
    mean, std = (torch.tensor(v).double()[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    crops = [(batch - mean) / std for batch in crops]

    parameters = list(student.named_parameters())
    groups = [{"params": [p for _, p in parameters if p.ndim > 1], "weight_decay": case.WEIGHT_DECAY}]
    groups += [{"params": [p for _, p in parameters if p.ndim == 1]}]
    update = torch.optim.SGD(groups, lr=0.0, momentum=case.MOMENTUM)
    rates = cosine(case.LEARNING_RATE, case.FINAL_RATE, case.WARMUP_STEPS)
    momenta = cosine(case.TEACHER_MOMENTUM, 1.0)
    losses = []
    for step in range(case.STEPS):
        for group in update.param_groups:
            group["lr"] = rates[step]
        with torch.no_grad():
            taught = teacher(crops[:1])
            targets = sinkhorn(taught.flatten(0, 1)).unflatten(0, taught.shape[:2])
        predictions = torch.log_softmax(student(crops) / STUDENT_TEMPERATURE, -1)
        pairs = [(g, v) for g in range(len(targets)) for v in range(len(predictions)) if g != v]
        loss = sum(-(targets[g] * predictions[v]).sum(-1).mean() for g, v in pairs) / len(pairs)
        update.zero_grad()
        loss.backward()
        for name, parameter in parameters:
            factor = case.CLIP / (parameter.grad.norm() + 1e-6)
            if factor < 1:
                parameter.grad *= factor
            if name == "head.prototypes" and step < case.HELD_STEPS:
                parameter.grad = None
        update.step()
        with torch.no_grad():
            for (_, ours), theirs in zip(parameters, teacher.parameters()):
                theirs.mul_(momenta[step]).add_((1 - momenta[step]) * ours)
        losses.append(loss.item())
    arrays = {"losses": np.array(losses)}
    for name, network in (("student", student), ("teacher", teacher)):
        arrays |= {f"{name}/{key}": value.numpy() for key, value in network.state_dict().items() if value.ndim}
    return {key: value.astype(np.float32) for key, value in arrays.items()}


def references(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return {"dino_steps.npz": train()}
