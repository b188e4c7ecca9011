"""Speed of zero-shot evaluation, with random weights and made-up JPEGs: no data set or published weights are needed.

    python scripts/benchmark/zero_shot.py --models RN50 ViT-B-32 ViT-B-16-SigLIP --dtype bfloat16 [--open_clip]

Prints one JSON line. For each model: images per second of an evaluation on 1,000 classes, from JPEGs of 500 x 375 pixels to
counts, and of the computation alone, on batches that are already loaded; prompts per second, from texts to embeddings; and
the same by the CPU time of all threads and workers (`..._per_core`). On a machine with other load, pin the command to one
core, as by `taskset -c 0`, since threads that wait for each other use time, too.

With --open_clip, the numbers are those of open_clip, which must be installed: on a GPU under autocast to the same dtype,
with as many workers that load images as there are cores.
"""

import argparse
import io
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import SimpleNamespace

import jax
import numpy as np
from common import print_report, rates
from flax import nnx
from PIL import Image

from cliptail_jax.concepts.templates import templates
from cliptail_jax.config.sections import MeshAxes, Reading
from cliptail_jax.curation.variant import Variant
from cliptail_jax.evaluation.counting import ClassHead, count, count_shapes, make_evaluate_batch, make_pass
from cliptail_jax.input.pipeline import evaluation_batches
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.models.build import DTYPES, build_model
from cliptail_jax.models.open_clip import image_size, named_architecture
from cliptail_jax.parallel.sharding import local_rows, make_mesh, replicated, to_devices
from cliptail_jax.pretrained.published import listed_preprocess
from cliptail_jax.pretrained.text_embedder import TextEmbedder

CLASSES = 1000
TIMES = 8  # that a loaded batch is computed


def synthetic_set(records: int, width: int, height: int) -> Variant:
    """Photograph-like JPEGs: 16 different ones, smooth, with some noise."""
    rng = np.random.default_rng(0)
    jpegs = []
    for _ in range(16):
        smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((width, height), Image.BICUBIC)
        noisy = np.clip(np.asarray(smooth, np.int16) + rng.integers(-12, 13, (height, width, 3)), 0, 255)
        file = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(file, "JPEG", quality=90)
        jpegs.append(file.getvalue())
    source = SimpleNamespace(
        name="synthetic", split="test", encoded_images=lambda records: [jpegs[i % len(jpegs)] for i in records]
    )
    labels = np.arange(records) % CLASSES
    names = tuple(f"class {label}" for label in range(CLASSES))
    return Variant(source, np.arange(records), labels, names, labels, None)


def preprocess_of(name: str, architecture: dict) -> Preprocess:
    """The preprocessing of the published weights of an architecture."""
    return read_preprocess(listed_preprocess(name), image_size(architecture["vision_cfg"]))


def measured(
    evaluate: Callable, compute: Callable, embed: Callable, images: int, batch: int, prompts: int, seconds: float
) -> dict[str, float]:
    """The rates of an evaluation of so many `images`, of the computation of a `batch`, and of embedding the `prompts`."""
    report = {}
    for name, work, amount in (
        ("images_per_second", evaluate, images),
        ("images_per_second_computed", compute, batch),
        ("prompts_per_second", embed, prompts),
    ):
        report[name], report[f"{name}_per_core"] = rates(work, amount, seconds)
    return report


def ours(
    name: str, architecture: dict, variant: Variant, prompts: list[str], options: argparse.Namespace
) -> dict[str, float]:
    mesh = make_mesh(MeshAxes())
    description = {"model_cfg": architecture}
    model = nnx.jit(lambda: build_model(description, dtype=DTYPES[options.dtype], rngs=nnx.Rngs(0)))()
    tokenizer = train_tokenizer(prompts[:500], 2000, architecture["text_cfg"].get("context_length", 77))
    embedder = TextEmbedder(model.text, tokenizer, batch_size=options.batch_size)
    head = np.random.default_rng(0).normal(size=(CLASSES, architecture["embed_dim"])).astype(np.float32)
    head = ClassHead(head, logit_scale=np.float32(model.logit_scale[...]))
    graphdef, state = nnx.split(model)
    parts = (jax.device_put(state, replicated(mesh)),)
    preprocess = preprocess_of(name, architecture)
    evaluate_batch = make_evaluate_batch(graphdef, mesh, preprocess)
    size = options.batch_size
    run_pass = make_pass(variant, preprocess, Reading(), mesh, size, "evaluating")

    batch = next(evaluation_batches(variant, preprocess, batch_size=size, slots=local_rows(size))())
    on_devices = to_devices(mesh, {k: array for k, array in batch.items() if k not in ("unreadable", "loading")})
    zeros = {name: np.zeros(shape, np.int32) for name, shape in count_shapes(CLASSES).items()}

    def compute() -> None:
        counts = jax.device_put(zeros, replicated(mesh))
        for _ in range(TIMES):
            counts, *_ = evaluate_batch(parts, head, counts, on_devices)
        jax.block_until_ready(counts)

    def evaluate() -> None:
        count(evaluate_batch, parts, head, run_pass, (), mesh)

    embed = lambda: embedder(prompts)  # noqa: E731
    return measured(evaluate, compute, embed, len(variant), TIMES * size, len(prompts), options.seconds)


def of_open_clip(
    name: str, architecture: dict, variant: Variant, prompts: list[str], options: argparse.Namespace
) -> dict:
    import open_clip
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = dict(architecture)
    build = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    model = build(**config).to(device).eval()
    image_options = asdict(preprocess_of(name, architecture))
    del image_options["short_side"]
    transform = open_clip.image_transform(image_options.pop("size"), False, **image_options)
    tokenizer = open_clip.SimpleTokenizer(context_length=architecture["text_cfg"].get("context_length", 77))
    tokens_of_model = architecture["text_cfg"]["vocab_size"]  # SigLIP's has fewer than CLIP's tokenizer
    head = torch.nn.functional.normalize(torch.randn(CLASSES, architecture["embed_dim"], device=device), dim=1)
    size = options.batch_size
    half = options.dtype == "bfloat16"

    class Jpegs(torch.utils.data.Dataset):
        def __len__(self):
            return len(variant)

        def __getitem__(self, index):
            (jpeg,) = variant.source.encoded_images([index])
            return transform(Image.open(io.BytesIO(jpeg))), int(variant.labels[index])

    workers = len(os.sched_getaffinity(0))
    loader = torch.utils.data.DataLoader(Jpegs(), size, num_workers=workers)

    def predicted(images):
        features = torch.nn.functional.normalize(model.encode_image(images.to(device)), dim=1)
        return (features.float() @ head.T).argmax(1)

    def evaluate():
        return sum(int((predicted(images).cpu() == labels).sum()) for images, labels in loader)

    def embed():
        for start in range(0, len(prompts), size):
            tokens = tokenizer(prompts[start : start + size]).clamp(max=tokens_of_model - 1).to(device)
            torch.nn.functional.normalize(model.encode_text(tokens), dim=1).cpu()

    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=half):
        images = next(iter(loader))[0].to(device)
        compute = lambda: [predicted(images) for _ in range(TIMES)][-1].cpu()  # noqa: E731
        return measured(evaluate, compute, embed, len(variant), TIMES * len(images), len(prompts), options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["RN50", "ViT-B-32"], help="open_clip's names of architectures")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--records", type=int, default=2048, help="images of the set")
    parser.add_argument("--prompts", type=int, default=4096, help="texts of the head")
    parser.add_argument("--seconds", type=float, default=10, help="for how long each number is timed, at least")
    parser.add_argument("--open_clip", action="store_true", help="measure open_clip")
    options = parser.parse_args(arguments)
    architectures = {name: named_architecture(name) for name in options.models}
    variant = synthetic_set(options.records, 500, 375)
    phrases = (t.format(name) for name in variant.class_names for t in templates("openai80"))
    prompts = list(itertools.islice(phrases, options.prompts))
    measure = of_open_clip if options.open_clip else ours
    models = {name: measure(name, model, variant, prompts, options) for name, model in architectures.items()}
    library = "open_clip" if options.open_clip else "cliptail_jax"
    setting = {"library": library, "dtype": options.dtype, "batch_size": options.batch_size}
    print_report("zero_shot", **setting, models=models, device=jax.devices()[0].device_kind, devices=jax.device_count())


if __name__ == "__main__":
    main()
