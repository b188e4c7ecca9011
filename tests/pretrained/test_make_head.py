"""Class heads against plain averages of their prompts' embeddings."""

import hashlib
import json

import numpy as np
import pytest
from test_text_encoder import write_encoder

from cliptail_jax.concepts.templates import templates
from cliptail_jax.concepts.vocabulary import Concept
from cliptail_jax.pretrained import make_head, text_embedder
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.pretrained.make_head import class_head, main
from cliptail_jax.pretrained.text_encoder import open_encoder

CONCEPTS = (Concept("dog", ("hound", "dog")), Concept("cat"))


class Lengths(text_embedder.TextEmbedder):
    """Stands in for a text tower: two numbers of each text."""

    def __init__(self):
        self.weights_digest = "5a"

    def raw(self, texts):
        return np.array([[len(text), text.count("o") + 1] for text in texts], np.float32)

    def __call__(self, texts):
        raw = self.raw(texts)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "average_unit, synonyms, phrases",
    [(False, False, [["dog"], ["cat"]]), (True, True, [["hound", "dog"], ["cat"]])],
)
def test_head_is_the_mean_over_templates_and_synonyms(average_unit, synonyms, phrases):
    embed = Lengths() if average_unit else Lengths().raw
    prompts = [[t.format(p) for p in of_class for t in templates("simple")] for of_class in phrases]
    expected = np.array([embed(of_class).mean(0) for of_class in prompts])
    head = class_head(Lengths(), CONCEPTS, "simple", synonyms, average_unit)
    np.testing.assert_allclose(head, expected, rtol=1e-6)
    at_one = class_head(Lengths(), CONCEPTS, "simple", synonyms, average_unit, unit_norm=True)
    np.testing.assert_allclose(at_one, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)


def test_command_writes_the_array_and_what_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_head, "load_text_embedder", lambda model: Lengths())
    output = tmp_path / "heads" / "cifar10.npy"
    assert main(["--model=m", "--vocabulary=cifar10", "--template=openai80", "--norm=unit", f"--output={output}"]) == 0
    head, description = np.load(output), json.loads(output.with_suffix(".json").read_text())
    assert head.shape == (10, 2) and head.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(head, axis=1), 1, rtol=1e-6)
    assert (
        description["template"] == "openai80"
        and description["model"] == "m"
        and len(description["classes"]) == 10
        and description["unit_norm"]
    )
    assert description["weights"] == "5a" and description["digest"] == hashlib.sha256(head.tobytes()).hexdigest()
    np.testing.assert_array_equal(head_for(str(output), ("Truck", "airplane"), ()), head[[9, 0]])
    assert "10 classes, 2 wide" in capsys.readouterr().out


def test_an_encoder_on_its_own_embeds_by_the_mean_of_its_states(tmp_path, monkeypatch):
    write_encoder(tmp_path / "encoder")
    encoder = open_encoder(tmp_path / "encoder", context_length=20)
    monkeypatch.setattr(text_embedder, "open_text_model", lambda name: encoder)
    output = tmp_path / "cifar10.npy"
    assert main([f"--model={tmp_path / 'encoder'}", "--vocabulary=cifar10", f"--output={output}"]) == 0
    tokens, tower = encoder.tokenizer(["a truck"]), encoder.model.text
    states = tower.transformer(tokens, tokens != tower.pad_id)
    expected = np.asarray(states, np.float64)[0, : np.sum(tokens != tower.pad_id)].mean(0)
    np.testing.assert_allclose(np.load(output)[9], expected, rtol=1e-4, atol=1e-6)
    assert json.loads(output.with_suffix(".json").read_text())["weights"] == encoder.digest
