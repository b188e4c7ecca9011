"""Speed of zero-shot evaluation, with random weights and made-up JPEGs: no data set or published weights are needed.

    python scripts/benchmark/zero_shot.py --models RN50 ViT-B-32 ViT-B-16-SigLIP --dtype bfloat16

Prints one JSON line. For each model: images per second of an evaluation on 1,000 classes, from JPEGs of 500 x 375 pixels to
counts, and of the computation alone, on batches that are already loaded; prompts per second, from texts to embeddings. The
same by the CPU time of all threads and workers (`..._per_core`): on a machine with other load, pin the command to one core,
as by `taskset -c 0`, since threads that wait for each other use time, too. The same for open_clip where it
and torch are installed, on a GPU under autocast to the same dtype; as many workers as there are cores load its images.
"""

import argparse
import importlib.util
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from types import SimpleNamespace

import jax
import numpy as np
from flax import nnx
from machine import machine
from PIL import Image

from cliptail_jax.concepts.templates import templates
from cliptail_jax.curation.variant import Variant
from cliptail_jax.evaluation.counting import ClassHead, count, count_shapes, make_evaluate_batch
from cliptail_jax.input.pipeline import UnreadableImages, evaluation_batches
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.models.build import DTYPES, build_model
from cliptail_jax.models.open_clip import image_size, named_architecture
from cliptail_jax.objectives import base_config
from cliptail_jax.parallel.sharding import local_rows, make_mesh, replicated, to_devices
from cliptail_jax.pretrained.published import listed_preprocess
from cliptail_jax.pretrained.text_embedder import TextEmbedder

CLASSES = 1000
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


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
        name="synthetic", split="test", encoded_images=lambda wanted: [jpegs[i % len(jpegs)] for i in wanted]
    )
    labels = np.arange(records) % CLASSES
    names = tuple(f"class {label}" for label in range(CLASSES))
    return Variant(source, np.arange(records), labels, names, labels, None)


def preprocess_of(name: str, architecture: dict) -> Preprocess:
    """The preprocessing of the published weights of an architecture."""
    return read_preprocess(listed_preprocess(name), image_size(architecture["vision_cfg"]))


def rates(name: str, work, images: int, seconds: float) -> dict[str, float]:
    """How many of the `images` or prompts of a call of `work` are done per second, and per second of CPU time.

    Timed for about `seconds`. The first call does not count.
    """
    work()
    began, used, times = time.perf_counter(), cpu_seconds(), 0
    while times == 0 or time.perf_counter() - began < seconds:
        work()
        times += 1
    done = times * images
    per_core = done / (cpu_seconds() - used)
    return {name: round(done / (time.perf_counter() - began), 1), f"{name}_per_core": round(per_core, 1)}


def cpu_seconds() -> float:
    """CPU time of this process and of the workers that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def ours(
    name: str, architecture: dict, variant: Variant, prompts: list[str], options: argparse.Namespace
) -> dict[str, float]:
    mesh = make_mesh(base_config().mesh)
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
    batches = evaluation_batches(variant, preprocess, batch_size=size, slots=local_rows(size))
    unreadable = UnreadableImages(variant, 0.0)

    def computed(batch: dict[str, np.ndarray], times: int) -> None:
        batch = {name: array for name, array in batch.items() if name not in ("unreadable", "loading")}
        on_devices = to_devices(mesh, batch)
        counts = {name: np.zeros(shape, np.int32) for name, shape in count_shapes(CLASSES).items()}
        counts = jax.device_put(counts, replicated(mesh))
        for _ in range(times):
            counts, *_ = evaluate_batch(parts, head, counts, on_devices)
        jax.block_until_ready(counts)

    batch, times = next(batches()), 8
    evaluate = lambda: count(evaluate_batch, parts, head, batches(), unreadable, (), mesh)  # noqa: E731
    return (
        rates("images_per_second", evaluate, len(variant), options.seconds)
        | rates("images_per_second_computed", lambda: computed(batch, times), times * size, options.seconds)
        | rates("prompts_per_second", lambda: embedder(prompts), len(prompts), options.seconds)
    )


def of_open_clip(
    name: str, architecture: dict, variant: Variant, prompts: list[str], options: argparse.Namespace
) -> dict:
    import open_clip
    import torch

    if options.small:  # on a busy machine, threads that wait for each other take far longer
        torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = dict(architecture)
    build = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    model = build(**config).to(device).eval()
    of_images = asdict(preprocess_of(name, architecture))
    del of_images["short_side"]
    transform = open_clip.image_transform(of_images.pop("size"), False, **of_images)
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
    loader = torch.utils.data.DataLoader(Jpegs(), size, num_workers=0 if options.small else workers)

    def predicted(images):
        features = torch.nn.functional.normalize(model.encode_image(images.to(device)), dim=1)
        return (features.float() @ head.T).argmax(1)

    def evaluate():
        return sum(int((predicted(images).cpu() == labels).sum()) for images, labels in loader)

    def compute(images, times):
        return [predicted(images) for _ in range(times)][-1].cpu()

    def embed():
        for start in range(0, len(prompts), size):
            tokens = tokenizer(prompts[start : start + size]).clamp(max=tokens_of_model - 1).to(device)
            torch.nn.functional.normalize(model.encode_text(tokens), dim=1).cpu()

    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=half):
        images, _ = next(iter(loader))
        images, times = images.to(device), 8
        computed = lambda: compute(images, times)  # noqa: E731
        return (
            rates("images_per_second", evaluate, len(variant), options.seconds)
            | rates("images_per_second_computed", computed, times * len(images), options.seconds)
            | rates("prompts_per_second", embed, len(prompts), options.seconds)
        )


def has_open_clip() -> bool:
    return all(importlib.util.find_spec(name) for name in ("open_clip", "torch"))


def measured_apart() -> dict[str, dict[str, float]]:
    """open_clip's numbers by model, from the same command in another process."""
    command = [sys.executable, *sys.argv, "--open_clip"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["RN50", "ViT-B-32"], help="open_clip's names of architectures")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--records", type=int, default=2048, help="images of the set")
    parser.add_argument("--prompts", type=int, default=4096, help="texts of the head")
    parser.add_argument("--seconds", type=float, default=10, help="for how long each number is timed, at least")
    parser.add_argument("--small", action="store_true", help="a network of one layer and tiny images, for a quick test")
    parser.add_argument("--open_clip", action="store_true", help="print only open_clip's numbers, by model")
    options = parser.parse_args()
    architectures = {name: named_architecture(name) for name in options.models}
    width, height = 500, 375
    if options.small:
        architectures, width, height = {"tiny": TINY}, 48, 40
        options.batch_size, options.records, options.prompts, options.seconds = 8, 16, 16, 0.1
    variant = synthetic_set(options.records, width, height)
    phrases = (t.format(name) for name in variant.class_names for t in templates("openai80"))
    prompts = list(itertools.islice(phrases, options.prompts))
    if options.open_clip:  # in a process of its own, where JAX does not compute
        print(json.dumps({name: of_open_clip(name, a, variant, prompts, options) for name, a in architectures.items()}))
        return
    beside = measured_apart() if has_open_clip() else {}
    report = {
        "benchmark": "zero_shot",
        "dtype": options.dtype,
        "batch_size": options.batch_size,
        "models": {
            name: {"cliptail_jax": ours(name, architecture, variant, prompts, options)}
            | ({"open_clip": beside[name]} if beside else {})
            for name, architecture in architectures.items()
        },
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "machine": machine(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    sys.exit(main())
