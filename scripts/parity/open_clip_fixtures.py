"""References for tests/open_clip/test_same_steps.py: trainings by open_clip's own program, `open_clip_train.main`.

The program runs as a whole on each command of tests/open_clip_case.py, on batches that stand for those of its loaders, from
weights that are seeded by their names. Of each update, open_clip_steps.json has the loss, the norm of the gradient and the
logit scale before it, and at the end the last logit scale.

Made with open_clip at the commit of the table of flags (cliptail_jax/open_clip/flags.py); 3.3.0 gives the same except that
positions decay. The program needs webdataset and pandas, too.
"""

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import open_clip
import open_clip.loss
import torch
from open_clip_train import main as program
from torch.optim.optimizer import register_optimizer_step_pre_hook

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import open_clip_case as case  # noqa: E402
from pretrained.seeded_weights import draw_all  # noqa: E402

TAKES_NAMES = hasattr(open_clip, "create_task")  # for the arrays of a batch; 3.3.0 takes a pair


class Batches:
    """A loader of open_clip, which goes through the next batches in each epoch."""

    def __init__(self, samples: int):
        self.num_samples, self.num_batches, self.done = samples, samples // case.BATCH, 0

    def __iter__(self):
        for _ in range(self.num_batches):
            images, texts = case.draw_pairs(self.done)
            self.done += 1
            mean, std = (torch.tensor(x) for x in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
            images = ((torch.tensor(images) / 255 - mean) / std).permute(0, 3, 1, 2)
            texts = torch.tensor(texts, dtype=torch.long)
            yield {"image": images, "text": texts} if TAKES_NAMES else (images, texts)


def write_weights(model: str, flags: list[str], path: Path) -> None:
    """The seeded weights of a model, as `--pretrained` takes them; the names are those of a text tower in `text`."""
    bias = {"init_logit_bias": -10} if "--siglip" in flags else {}
    shapes = {name: list(value.shape) for name, value in open_clip.create_model(model, **bias).state_dict().items()}
    full = {name: name if name.startswith(("visual.", "logit_")) else f"text.{name}" for name in shapes}
    weights = draw_all({full[name]: shape for name, shape in shapes.items()})
    torch.save({name: torch.tensor(weights[full[name]]) for name in shapes}, path)


def train(flags: list[str], folder: Path) -> dict[str, list[float]]:
    """The numbers of the updates that open_clip makes with these flags."""
    weights, losses, norms, scales = folder / "weights.pt", [], [], []
    write_weights(flags[1], flags, weights)
    args = program.parse_args(flags)
    data = SimpleNamespace(dataloader=Batches(args.train_num_samples), set_epoch=lambda epoch: None)
    program.get_data = lambda *args, **options: {"train": data}
    last = {}

    def after_loss(module, inputs, output):
        if isinstance(module, (open_clip.loss.ClipLoss, open_clip.loss.SigLipLoss)):
            last["loss"] = output["contrastive_loss"].item()

    def before_update(optimizer, *_):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        # Of the parameters without an axis, the logit scale is first. Their gradient is added once for each part of a batch.
        last["scale"] = next(p for p in parameters if p.ndim == 0)
        gradients = [p.grad if p.ndim else p.grad / args.accum_freq for p in parameters]
        norms.append(float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt()))
        losses.append(last["loss"])
        scales.append(last["scale"].exp().item())

    hooks = (
        torch.nn.modules.module.register_module_forward_hook(after_loss),
        register_optimizer_step_pre_hook(before_update),
    )
    program.main([*flags, "--pretrained", str(weights), "--logs", str(folder), "--name", "run"])
    for hook in hooks:
        hook.remove()
    return {"loss": losses, "grad_norm": norms, "logit_scale": [*scales, last["scale"].exp().item()]}


def references(folder: Path) -> dict[str, str]:
    torch.set_num_threads(1)
    numbers = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, config in case.ARCHITECTURES.items():
            (Path(temporary) / f"{name}.json").write_text(json.dumps(config))
            open_clip.add_model_config(Path(temporary) / f"{name}.json")
        for name, command in case.COMMANDS.items():
            run = Path(temporary) / name
            run.mkdir()
            numbers[name] = train(command.split(), run)
    rounded_numbers = {
        name: {key: [float(f"{value:.6g}") for value in values] for key, values in series.items()}
        for name, series in numbers.items()
    }
    lines = [f"{json.dumps(name)}: {json.dumps(series)}" for name, series in rounded_numbers.items()]
    return {"open_clip_steps.json": "{\n" + ",\n".join(lines) + "\n}\n"}
