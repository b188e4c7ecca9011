import numpy as np
from PIL import Image


def test_similarity_of_an_own_image_and_texts_takes_six_lines(trained_run, tmp_path, capsys):
    Image.new("L", (50, 40), 80).save(tmp_path / "cat.png")
    lines = f"""
import jax.numpy as jnp; from PIL import Image; from cliptail_jax.pretrained import open_model
clip = open_model({str(trained_run("clip")[1])!r})
image = clip.model.encode_image(clip.preprocess(Image.open({str(tmp_path / "cat.png")!r}))[None])
texts = clip.model.encode_text(clip.tokenizer(["latin capital letter a", "digit one"]))
image, texts = (features / jnp.linalg.norm(features, axis=-1, keepdims=True) for features in (image, texts))
similarity = image @ texts.T
"""
    names = {}
    exec(lines, names)
    image, texts = (np.float64(names[name]) for name in ("image", "texts"))
    np.testing.assert_allclose(names["similarity"], [[image[0] @ text for text in texts]], rtol=1e-5)
    assert names["similarity"].shape == (1, 2) and np.all(np.abs(names["similarity"]) <= 1 + 1e-6)
