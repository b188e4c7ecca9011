"""Opens published text encoders of Hugging Face, such as RoBERTa."""

from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, work_path
from cliptail_jax.models.encoder_shapes import encoder_shape
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published_weights import PublishedWeights, encoder_names
from cliptail_jax.pretrained.source import CONFIG, TOKENIZER, find
from cliptail_jax.pretrained.tokenizers import encoder_tokenizer
from cliptail_jax.runs.files import read_config

ENCODER_CONFIG, ENCODER_WEIGHTS = "config.json", ["model.safetensors"]


def open_encoder(name_or_path: str | Path, context_length: int = 77) -> OpenedModel:
    """A Hugging Face text encoder, whose features are the means of its outputs.

    Args:
        name_or_path: 'hf-hub:OWNER/NAME', perhaps with '@REVISION', or a folder with config.json, model.safetensors and
            tokenizer.json.
        context_length: the number of tokens to which texts are truncated.

    Raises:
        UserError: something is missing, corrupt or does not fit.
    """
    name = str(name_or_path)
    source = find(name, ENCODER_CONFIG, ENCODER_WEIGHTS)
    for file, path in ((ENCODER_CONFIG, source.config), (TOKENIZER, source.tokenizer)):
        if path is None:
            raise UserError(f"{name} has weights but no {file}: add it to the folder")
    encoder = read_json(source.config)
    shape = encoder_shape(encoder)
    if context_length > shape.max_context:
        raise UserError(f"context_length={context_length} is more than the {shape.max_context} positions of {name}")
    repository, _ = hub.split(name)
    text_cfg = {"hf_model_name": repository, "hf_tokenizer_name": repository, "context_length": context_length}
    text_cfg |= {"hf_proj_type": None, "hf_pooler_type": "mean_pooler"}
    name_of, unused_prefixes = encoder_names(source.weights)
    return OpenedModel(
        name=name,
        description={"model_cfg": {"embed_dim": shape.width, "text_cfg": text_cfg}, "encoder": encoder},
        weights=PublishedWeights(source, lambda path: name_of(path[1:]), unused_prefixes),
        preprocess=None,
        open_tokenizer=lambda: encoder_tokenizer(source.tokenizer, text_cfg, encoder),
    )


def is_encoder(name: str) -> bool:
    """Whether `name` is a text encoder: a folder or repository without open_clip's configuration, and not a run."""
    if not name.startswith(hub.PREFIX):
        path = Path(name)
        return path.is_dir() and not (path / CONFIG).exists() and read_config(work_path(name)) is None
    repository, revision = hub.split(name)
    try:
        hub.fetch(repository, [CONFIG], revision)
        return False
    except UserError:  # perhaps only because the Hub cannot be reached
        hub.fetch(repository, [ENCODER_CONFIG], revision)
        return True
