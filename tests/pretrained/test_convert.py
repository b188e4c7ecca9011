"""Weights that were published as a pickle: converted by torch, or refused."""

import shutil

import pytest
from safetensors.numpy import load_file

from cliptail_jax.host.errors import UserError
from cliptail_jax.pretrained import open_model
from tests.pretrained.tiny_models import assert_same, write_model

SCRIPT = r"scripts/convert_pytorch_weights\.py"


def write_pickle(folder, change=lambda state: state):
    """A ViTamin whose weights are a pickle, and the same as safetensors."""
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    safe = write_model(folder / "safe", "vitamin")
    pickled = shutil.copytree(safe, folder / "pickled")
    tensors = load_file(pickled / "open_clip_model.safetensors")
    (pickled / "open_clip_model.safetensors").unlink()
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    torch.save(change(state), pickled / "pytorch_model.bin")
    return pickled, safe


@pytest.mark.parametrize("is_checkpoint", [False, True])
def test_converted_weights_are_the_same_bit_for_bit_and_nothing_is_overwritten(is_checkpoint, tmp_path):
    def checkpoint(state):  # of open_clip's training on several devices
        return {"epoch": 1, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}

    pickled, safe = write_pickle(tmp_path, checkpoint if is_checkpoint else lambda state: state)
    from scripts.convert_pytorch_weights import convert

    convert(pickled, tmp_path / "converted")
    assert_same(open_model(str(tmp_path / "converted")).model, open_model(str(safe)).model)
    with pytest.raises(UserError, match="converted exists: give the name of a new folder"):
        convert(pickled, tmp_path / "converted")


def test_a_named_architecture_replaces_a_missing_configuration(tmp_path):
    pickled, safe = write_pickle(tmp_path)
    (pickled / "open_clip_config.json").unlink()
    from scripts.convert_pytorch_weights import convert

    with pytest.raises(UserError, match="has no open_clip_config.json: give --architecture"):
        convert(pickled, tmp_path / "converted")
    convert(pickled, tmp_path / "converted", "ViTamin-S")
    assert open_model(str(tmp_path / "converted")).config["vision_cfg"]["timm_model_name"] == "vitamin_small_224"


def test_a_pickle_with_more_than_tensors_is_not_converted(tmp_path):
    pickled, _ = write_pickle(tmp_path, lambda state: state | {"more": print})
    from scripts.convert_pytorch_weights import convert

    with pytest.raises(UserError, match="pytorch_model.bin is damaged, or has more in it than tensors"):
        convert(pickled, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_a_model_whose_weights_are_a_pickle_is_refused_with_the_script_that_converts_it(tmp_path):
    folder = write_model(tmp_path / "model", "vitamin")
    pickle = (folder / "open_clip_model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=f"has no weights: .*{SCRIPT}"):
        open_model(str(folder))
    with pytest.raises(UserError, match=f"is not a .safetensors file; .*{SCRIPT}"):
        open_model(str(pickle))
