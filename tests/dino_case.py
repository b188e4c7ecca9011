"""The sizes, the recipe and the crops of the DINO steps whose truth torch computes (scripts/parity/dino_fixtures.py)."""

import numpy as np

BATCH, STEPS, STEPS_PER_EPOCH, TOTAL_STEPS = 8, 6, 2, 10
WARMUP_STEPS, HELD_STEPS = 2, 2
SIZES, VIEWS = {"global": 64, "local": 32}, 2
WIDTH, HEADS, OUTPUT_DIM, HIDDEN, BOTTLENECK, PROTOTYPES = 2, 4, 8, 16, 8, 24
CLIP, MOMENTUM, FINAL_RATE, TEACHER_MOMENTUM = 0.3, 0.9, 1e-6, 0.8
LEARNING_RATE, WEIGHT_DECAY = 0.01, 0.01


def draw_crops(kind: str) -> np.ndarray:
    """uint8 [batch, view, side, side, 3]: coarse patches with noise."""
    side, random = SIZES[kind], np.random.default_rng(SIZES[kind])
    coarse = random.integers(0, 200, (BATCH, VIEWS, side // 8, side // 8, 3)).repeat(8, 2).repeat(8, 3)
    return (coarse + random.integers(0, 56, coarse.shape)).astype(np.uint8)
