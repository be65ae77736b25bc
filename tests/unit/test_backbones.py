"""AST: loading, positions, the tiny one."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import (
    ASTConfig,
    ASTForAudioClassification,
    ASTModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from petl_modules.backbones import AST, fit_positions, write_tiny_ast
from petl_modules.backbones.__main__ import main


@pytest.fixture
def weights(tiny_ast, tmp_path):
    """Writes the tiny AST with some of its weights changed."""

    def write(change):
        ASTConfig.from_pretrained(tiny_ast).save_pretrained(tmp_path)
        state = load_file(f"{tiny_ast}/model.safetensors")
        change(state)
        save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
        return str(tmp_path)

    return write


def test_equals_hugging_face_at_full_length(tiny_ast):
    x = torch.randn(2, 1024, 128)
    stock = ASTModel.from_pretrained(tiny_ast, attn_implementation="sdpa")
    with torch.no_grad():
        expected = stock.eval()(x).last_hidden_state
        assert torch.equal(AST(tiny_ast, 1024).eval()(x), expected)


def test_takes_a_checkpoint_with_a_classifier(tmp_path):
    torch.manual_seed(0)
    config = ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = ASTForAudioClassification(config)
    model.audio_spectrogram_transformer.embeddings.position_embeddings.data.normal_()
    model.save_pretrained(tmp_path)
    backbone = AST(str(tmp_path), 1024)
    expected = model.audio_spectrogram_transformer.state_dict()
    for name, value in backbone.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_loads_half_precision_as_float32(weights):
    folder = weights(lambda s: s.update({k: v.half() for k, v in s.items()}))
    assert next(AST(folder, 100).parameters()).dtype == torch.float32


def test_a_missing_weight_is_an_error(weights):
    folder = weights(
        lambda s: s.pop(next(k for k in s if "1.layernorm_after" in k))
    )
    with pytest.raises(
        ValueError, match="lacks 1 of its weights.*layernorm_after"
    ):
        AST(folder, 100)


def test_a_weight_of_another_shape_is_an_error(weights):
    folder = weights(lambda s: s.update({"layernorm.weight": torch.ones(7)}))
    words = r"(?s)other shapes .*layernorm.weight: \(7,\) .* \(128,\)"
    with pytest.raises(ValueError, match=words):
        AST(folder, 100)


def test_a_damaged_file_is_an_error(weights, tmp_path):
    folder = weights(lambda s: None)
    for content, words in (
        (b"no weights", "10 bytes: they belong to another one, or are cut"),
        (b"no weights" * 100_000, "could not be loaded"),
    ):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=words):
            AST(folder, 100)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match="pretrained/tiny-ast is.*small-wav2vec2"
    ):
        AST(str(tmp_path / "nothing"), 100)


def test_another_kind_of_backbone_is_an_error(tmp_path):
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,),
        conv_stride=(5,),
        conv_kernel=(10,),
        num_feat_extract_layers=1,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="is a 'wav2vec2'; this recipe file takes"
    ):
        AST(str(tmp_path), 100)


def test_inputs_of_another_size_are_an_error(tiny_ast):
    with pytest.raises(ValueError, match=r"\(90, 128\).*takes \(100, 128\)"):
        AST(tiny_ast, 100)(torch.randn(1, 90, 128))


# Positions


@pytest.fixture(scope="module")
def positions():
    torch.manual_seed(0)
    return torch.randn(1, 2 + 12 * 101, 8)  # the original's grid


@pytest.mark.parametrize("columns", [1, 8, 49, 100, 101])
def test_center_cut_takes_the_checkpoints_own_rows(positions, columns):
    out = fit_positions(positions, (12, 101), columns, "center_cut")
    assert torch.equal(out[0, :2], positions[0, :2])
    first = 101 // 2 - columns // 2
    for f in range(12):
        for t in range(columns):
            row = positions[0, 2 + f * 101 + first + t]
            assert torch.equal(out[0, 2 + f * columns + t], row)


def test_center_cut_cannot_lengthen(positions):
    with pytest.raises(ValueError, match="positions: interpolate"):
        fit_positions(positions, (12, 101), 102, "center_cut")


@pytest.mark.parametrize("columns", [49, 101, 150])
def test_interpolation_equals_that_of_each_row(positions, columns):
    out = fit_positions(positions, (12, 101), columns, "interpolate")
    assert torch.equal(out[0, :2], positions[0, :2])
    for f in range(12):
        row = positions[0, 2 + f * 101 : 2 + (f + 1) * 101].T.unsqueeze(0)
        expected = F.interpolate(row, size=columns, mode="linear")[0].T
        own = out[0, 2 + f * columns : 2 + (f + 1) * columns]
        torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)


def test_zeros(positions):
    out = fit_positions(positions, (12, 101), 49, "zeros")
    assert out.shape == (1, 590, 8) and not out.any()


def test_unknown_mode(positions):
    with pytest.raises(ValueError, match="no mode 'cut'"):
        fit_positions(positions, (12, 101), 49, "cut")


def test_zero_positions_are_refused_unless_asked_for(weights):
    folder = weights(lambda s: s["embeddings.position_embeddings"].zero_())
    for mode in ("center_cut", "interpolate"):
        with pytest.raises(ValueError, match="all zero"):
            AST(folder, 100, mode)
    AST(folder, 100, "zeros")


@pytest.mark.parametrize(
    ("mode", "matters"),
    [("center_cut", True), ("interpolate", True), ("zeros", False)],
)
def test_the_order_of_patches_matters(mode, matters, tiny_ast):
    """Patches of 16 x 16 in another order, tokens averaged."""
    torch.manual_seed(0)
    backbone = AST(tiny_ast, 96, mode).eval()
    x = torch.randn(1, 96, 128)
    order = torch.randperm(6)
    shuffled = x.unflatten(1, (6, 16))[:, order].flatten(1, 2)
    with torch.no_grad():
        change = (backbone(x).mean(1) - backbone(shuffled).mean(1)).abs().max()
    assert (change > 1e-3) == matters
    assert matters or change < 1e-5


# The tiny one


def test_tiny_ast_draws_everything(tiny_ast):
    config = json.loads(open(f"{tiny_ast}/config.json").read())
    assert config["max_length"] == 1024
    state = load_file(f"{tiny_ast}/model.safetensors")
    assert all(value.std() > 0 for value in state.values())


def test_tiny_ast_is_seeded(tiny_ast, tmp_path):
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    write_tiny_ast(tmp_path / "same")
    write_tiny_ast(tmp_path / "other", seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, same, other = (
        load_file(f"{folder}/model.safetensors")["layernorm.weight"]
        for folder in (tiny_ast, tmp_path / "same", tmp_path / "other")
    )
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_tiny_ast_command(tmp_path, capsys):
    main(["tiny-ast", str(tmp_path / "tiny")])
    AST(str(tmp_path / "tiny"), 100)
    with pytest.raises(SystemExit, match="there already and not empty"):
        main(["tiny-ast", str(tmp_path / "tiny")])
