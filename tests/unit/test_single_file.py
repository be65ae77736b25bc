"""``modeling_petl.py``: a trained model for transformers, without this package."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from petl_modules.backbones import write_tiny_ast
from petl_modules.exports.one_file.single_file import modeling_file
from petl_modules.exports.to_petl import build_config, write
from petl_modules.inference.facts import parts_of
from petl_modules.inference.trained_model import CLASSIFICATION, TrainedModel
from petl_modules.models import save_trained, trained_state, weights_sha256
from petl_modules.runs import RecipeFile, fill_in_input
from petl_modules.utils import ExportError
from tests.modeling import BASES, load
from tests.trained import LABELS, ROOT, SMALL, write_run

RECIPES = ROOT / "templates" / "audio_classification" / "hparams"
ENCODERS = (
    *("ast", "wav2vec2", "wav2vec2-large", "wavlm", "wavlm-large", "hubert"),
    *("unispeech", "unispeech-sat", "data2vec-audio", "mms", "w2v-bert"),
    "whisper",
)
# The first twelve are a sample: one for each encoder
METHODS = (
    *("convpass", "el_adapters", "bitfit", "prompt_deep", "lora", "prefix"),
    *("dense_moa", "conformer", "ipet_wav2vec2", "attentive_layers"),
    *("mambadapter", "soft_moa", "adapter_bias", "adapter_ffn", "bottleneck"),
    *("e_adapter", "ipet", "full_finetuning", "l_adapter", "linear"),
    *("lora_qk", "ipet_adapter", "ipet_prompt", "prompt_shallow", "houlsby"),
    *("mambadapter_houlsby", "layer_sum", "attentive", "adaptformer"),
    *("convpass_wav2vec2", "ladder", "dense_moa_lora", "soft_moa_lora"),
    *("gc_lora", "prototypes"),
)


def cells():
    """Return methods x encoders; all but a sample are marked ``whole``."""
    found = []
    for row, method in enumerate(METHODS):
        for column, encoder in enumerate(ENCODERS):
            own_file = method.startswith(("convpass", "ipet"))
            speech = "wav2vec2" in method
            if not own_file or (encoder == "ast") != speech:
                marks = [] if row == column else [pytest.mark.whole]
                found.append(pytest.param(method, encoder, marks=marks))
    return found


def train(method, backbone, base, **changes):
    """Return what has the attributes of a ``TrainedModel``, none of it zero."""
    recipe = RecipeFile.read(RECIPES / f"{method}.yaml", RECIPES / base)
    small = {k: v for k, v in SMALL.items() if k in recipe.tree}
    given = {"backbone": backbone, "labels": LABELS}
    recipe.update({**small, **given, **changes})
    fill_in_input(recipe)
    made = recipe.make(["features", "model", "windows"])
    model = made["model"].eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for value in trained_state(model).values():
            if value.is_floating_point():
                value += 0.05 * torch.randn(value.shape).abs()
    return SimpleNamespace(
        **made,
        task=CLASSIFICATION,
        labels=LABELS,
        parts=parts_of(recipe.settings, CLASSIFICATION),
        about={},
        base=backbone,
        weights_sha256=weights_sha256(model),
    )


@pytest.mark.parametrize("method, encoder", cells())
def test_logits_are_those_of_the_source(method, encoder, folder_of, tmp_path):
    base = BASES.get(encoder, "wav2vec2.yaml")
    text = require_same_logits(
        train(method, folder_of[encoder], base), tmp_path
    )
    assert "bitsandbytes" not in text


def test_weights_in_4_bits_are_those_of_the_source(tiny_ast, tmp_path):
    pytest.importorskip("bitsandbytes")
    trained = train("lora", str(tiny_ast), "ast.yaml", backbone_dtype="nf4")
    assert "bitsandbytes" in require_same_logits(trained, tmp_path)


def require_same_logits(trained, tmp_path):
    """Compare the file with its source, in a padded batch; return its text."""
    config = build_config(trained)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_trained(trained.model, tmp_path / "model.safetensors")
    text = modeling_file(trained)
    (tmp_path / "modeling_petl.py").write_text(text)
    assert "import petl_modules" not in text and "speechbrain" not in text
    model = load(tmp_path)

    generator = torch.Generator().manual_seed(1)
    clips = [torch.randn(n, generator=generator) for n in (8_000, 5_000)]
    features = [trained.features(0.1 * clip) for clip in clips]
    counts = torch.tensor([len(each) for each in features])
    batch = pad_sequence(features, batch_first=True)
    mask = torch.arange(batch.shape[1]) < counts.unsqueeze(1)
    with torch.inference_mode():
        wanted = trained.model(batch, counts / batch.shape[1])
        found = model(batch, attention_mask=mask)
    assert torch.equal(found.logits, wanted)
    assert not torch.allclose(wanted[0], wanted[1])
    return text


@pytest.fixture(scope="module")
def folder(tiny_ast, tmp_path_factory):
    """What was exported of a fold with LoRA."""
    top = tmp_path_factory.mktemp("exported")
    fold = write_run(top, "lora", tiny_ast)
    (top / "model").mkdir()
    write(TrainedModel(fold, merge=False), top / "model")
    return top / "model"


def test_only_the_same_encoder_and_weights(folder, tmp_path):
    copy = tmp_path / "copy"

    def refuses(text, **options):
        with pytest.raises((ValueError, OSError), match=text):
            load(copy, **options)

    def changed(name, change):
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        file = copy / name
        file.write_bytes(change(file.read_bytes()))

    write_tiny_ast(tmp_path / "other", seed=1)
    changed("config.json", bytes)
    refuses("not the one of the training", base_model=str(tmp_path / "other"))
    refuses("(?s)could not be loaded.*base_model=PATH", base_model="no/where")
    refuses("float32", dtype=torch.float16)
    refuses("without .'quantization_config'.", quantization_config=1)
    size = (folder / "model.safetensors").stat().st_size
    for place in (0, 30, size // 2, size - 1):
        changed("model.safetensors", lambda b: flip(b, place))
        refuses("model.safetensors")
    changed("model.safetensors", bytes)
    sha256 = load(copy).config.weights_sha256.encode()
    changed("config.json", lambda b: b.replace(sha256, b"0" * 64))
    refuses("weights_sha256 of config.json")
    changed("config.json", lambda b: b.replace(b'"rank": 6', b'"rank": 5'))
    refuses("does not fit config.json: 0.layers.0.query.lora_a.weight")
    changed(
        "config.json", lambda b: b.replace(b"torch.nn.Linear", b"os.system")
    )
    refuses("os.system is none of")
    (copy / "model.safetensors").unlink()
    refuses("model.safetensors")


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_saving_is_refused(folder, tmp_path):
    model = load(folder)
    with pytest.raises(NotImplementedError, match="copy the folder"):
        model.save_pretrained(tmp_path)


def test_what_has_no_file_says_why(tiny_ast):
    with pytest.raises(ExportError, match="no automatic class for speaker"):
        modeling_file(SimpleNamespace(task="speaker verification"))
    trained = train("linear", tiny_ast, "ast.yaml")
    model = trained.parts["model"]
    model["pooling"] = {"!name": "petl_modules.models.AttentiveStatistics"}
    with pytest.raises(ExportError, match="AttentiveStat.* needs speechbrain"):
        modeling_file(trained)
    model["pooling"] = None
    model["head"] = {"!name": "speechbrain.lobes.models.ECAPA_TDNN.Classifier"}
    with pytest.raises(ExportError, match="CLASSES .* needs speechbrain"):
        modeling_file(trained)
    trained.features = len
    with pytest.raises(ExportError, match="no features like builtin"):
        modeling_file(trained)
