"""The commands, models and pairs of the trainings whose numbers open_clip gives (scripts/parity/open_clip_fixtures.py)."""

import numpy as np

BATCH, STEPS, SIDE, CONTEXT, WORDS = 16, 50, 32, 8, 40
VIT = {"image_size": SIDE, "patch_size": 16, "width": 32, "head_width": 16, "layers": 2}
RESNET = {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
TEXT = {"context_length": CONTEXT, "vocab_size": WORDS, "width": 32, "heads": 2, "layers": 1}
ARCHITECTURES = {
    "ViT-tiny": {"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT},
    "RN-tiny": {"embed_dim": 16, "vision_cfg": RESNET, "text_cfg": TEXT},
}
# 50 updates of 5 epochs, with the default decay, betas and epsilon.
LINE = (
    "--train-data pairs.tar --dataset-type webdataset --workers 1 --epochs 5 --warmup 5 --precision fp32 --device cpu"
)
COOLDOWN = "--lr-scheduler const-cooldown --epochs-cooldown 2 --lr-cooldown-end 1e-6"
PAIRS = f"--train-num-samples {BATCH * STEPS // 5} --batch-size {BATCH}"
COMMANDS = {
    "vit": f"--model ViT-tiny {PAIRS} --lr 2e-3",
    "resnet": f"--model RN-tiny {PAIRS} {COOLDOWN} --lr-cooldown-power 2 --lr 2e-5",
    "siglip": f"--model ViT-tiny {PAIRS} --siglip {COOLDOWN} --lr 2e-3",
    "locked": f"--model ViT-tiny {PAIRS} --lock-image --lr 2e-3",
    "accumulated": f"--model ViT-tiny --train-num-samples {2 * BATCH * STEPS // 5} --batch-size {BATCH} --accum-freq 2 --lr 2e-3",
}
COMMANDS = {name: f"{flags} {LINE}" for name, flags in COMMANDS.items()}


def draw_pairs(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The images uint8 [BATCH, SIDE, SIDE, 3] and ids int32 [BATCH, CONTEXT] of the batch with this number.

    An image is one of 64 coarse patterns with noise, and its caption the pattern's; the last id of a caption is the highest.
    """
    random, patterns = np.random.default_rng(batch), np.random.default_rng(1000)
    coarse = patterns.integers(0, 200, (64, 4, 4, 3)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
    captions = patterns.integers(1, WORDS - 1, (64, CONTEXT))
    captions[:, -1] = WORDS - 1
    rows = random.choice(64, BATCH, replace=False)
    images = coarse[rows] + random.integers(0, 56, (BATCH, SIDE, SIDE, 3))
    return images.astype(np.uint8), captions[rows].astype(np.int32)
