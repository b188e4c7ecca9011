"""The tiny members of timm's families whose features by timm are stored (scripts/parity/timm_members.py)."""

from cliptail_jax.models import fastvit, relpos, swin, vitamin

VITAMIN = {"widths": (8, 12, 32), "layers": 2, "heads": 4}
VITAMINS = {
    "vitamin_parity": vitamin.Size(**VITAMIN, side=32),
    "vitamin_parity_any_size": vitamin.Size(**VITAMIN, side=None),
}
FASTVITS = {
    "fastvit_parity": fastvit.Size((1, 1, 2, 1), 8, is_large=False),
    "fastvit_parity_large": fastvit.Size((1, 1, 1, 1, 1), 8, is_large=True),
}
SWINS = {"swin_parity": swin.Size((2, 2), (2, 4), 8, window=4, side=32)}
RELPOS = {"relpos_parity": relpos.Size(8, 32, 2, 4, inner=12, side=32)}
# Image towers of configurations that have a name, as open_clip's have.
ARCHITECTURES = {
    "ViTamin-tiny": {"timm_model_name": "vitamin_parity", "timm_pool": "", "timm_proj": "linear"},
    "swin-tiny": {"timm_model_name": "swin_parity", "timm_pool": "", "timm_proj": "linear"},
    "relpos-tiny": {"timm_model_name": "relpos_parity", "timm_pool": "", "timm_proj": "linear"},
    "MobileCLIP-tiny": {"timm_model_name": "fastvit_parity", "timm_pool": "avg", "timm_proj": None},
}
