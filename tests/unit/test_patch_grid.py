"""ConvPass over the patches of a spectrogram, against images built patch by patch."""

from functools import partial

import pytest
import torch
from torch import nn

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import ConvPass, DenseMoA, SoftMoA
from petl_modules.methods import Insert, PromptTuning
from petl_modules.models import TunedEncoder
from petl_modules.utils import HparamsError

D, R, ROWS, COLUMNS = 32, 4, 3, 5
GRID = partial(ConvPass, reduction=D / R, dropout=0.0, over="grid")


def made(grid=(ROWS, COLUMNS)):
    """A block with weights that say something."""
    torch.manual_seed(0)
    block = GRID(D)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    block.inner.grid = grid
    return block


def quick_gelu(x):
    return x * (1 + (-1.702 * x).exp()).reciprocal()


def convolved(image, conv):
    """Of an image ``{(row, column): channels}``: each patch and its eight."""
    found = {}
    for row, column in image:
        total = conv.bias
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                near = image.get((row + down, column + right))
                if near is not None:
                    total = (
                        total + conv.weight[:, :, 1 + down, 1 + right] @ near
                    )
        found[row, column] = total
    return found


def naive(block, x, rows, columns, place):
    """The formula with images; ``place(row, column)`` is a patch's number."""
    apart, outs = x.shape[1] - rows * columns, []
    for clip in x:
        h = [
            quick_gelu(block.down_proj.weight @ token + block.down_proj.bias)
            for token in clip
        ]
        cells = [
            (row, column) for row in range(rows) for column in range(columns)
        ]
        image = {cell: h[apart + place(*cell)] for cell in cells}
        image = convolved(image, block.inner.conv)
        alone = [
            convolved({(0, 0): one}, block.inner.conv) for one in h[:apart]
        ]
        h = [one[0, 0] for one in alone] + [None] * len(cells)
        for cell in cells:
            h[apart + place(*cell)] = image[cell]
        up = block.up_proj
        outs.append(
            torch.stack([up.weight @ quick_gelu(one) + up.bias for one in h])
        )
    return torch.stack(outs)


def frequency_major(row, column):
    return row * COLUMNS + column


@pytest.mark.parametrize("apart", [0, 1, 4])
def test_it_is_the_convolution_of_an_image(apart):
    """Gradients as well, with none, one or several tokens apart."""
    block, found = made(), []
    x = torch.randn(2, apart + ROWS * COLUMNS, D)
    for way in (block, partial(naive, block)):
        args = () if way is block else (ROWS, COLUMNS, frequency_major)
        out = way(x, *args)
        loss = out.square().sum()
        found.append([out, *torch.autograd.grad(loss, block.parameters())])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_patches_in_the_order_of_time_would_be_another_image():
    """The rows are those of frequency; a grid turned over has other ones."""
    block = made()
    x = torch.randn(1, 2 + ROWS * COLUMNS, D)
    turned = naive(block, x, ROWS, COLUMNS, lambda row, col: col * ROWS + row)
    assert not torch.allclose(block(x), turned, atol=1e-2)
    # One step in time by one in frequency, with the kernel turned alike
    conv = block.inner.conv
    conv.weight.data = conv.weight.data.transpose(2, 3).contiguous()
    block.inner.grid = COLUMNS, ROWS
    torch.testing.assert_close(block(x), turned, rtol=1e-4, atol=1e-5)


def test_padded_columns_do_not_reach_the_others():
    block, short = made(), made((ROWS, 3))
    x = torch.randn(2, 1 + ROWS * COLUMNS, D)
    real = torch.ones(ROWS, COLUMNS, dtype=torch.bool)
    real[:, 3:] = False
    real = torch.cat([torch.ones(1, dtype=torch.bool), real.flatten()])
    found = block(x, real.expand(2, -1))[:, real]
    torch.testing.assert_close(found, short(x[:, real]), rtol=1e-4, atol=1e-5)


def test_it_starts_as_the_identity_between_silent_projections():
    block = GRID(D)
    block.inner.grid = ROWS, COLUMNS
    x = torch.randn(2, 1 + ROWS * COLUMNS, D)
    assert not block(x).any()
    h = quick_gelu(quick_gelu(block.down_proj(x)))
    torch.testing.assert_close(block.inner(block.down_proj(x)), h)


def test_count_is_that_of_the_paper_at_both_sublayers():
    block = ConvPass(768, reduction=96, over="grid")
    count = sum(p.numel() for p in block.parameters())
    assert count == 2 * 768 * 8 + 768 + 8 + 9 * 8 * 8 + 8 == 13_648
    assert 24 * count == 327_552


def test_experts_of_a_dense_mixture_are_those_alone():
    torch.manual_seed(0)
    block = DenseMoA(D, expert=partial(GRID, init_std=0.3), experts=3)
    assert block.grouped
    block.experts.inner.grid = ROWS, COLUMNS
    x, n = torch.randn(2, 2 + ROWS * COLUMNS, D), 3
    own = block.experts
    weights = (x @ own.down_proj[n * R :].T).softmax(-1)
    expected = 0
    for i in range(n):
        expert, rows = made(), slice(i * R, (i + 1) * R)
        expert.down_proj.weight.data = own.down_proj[rows]
        expert.down_proj.bias.data = own.down_proj_bias[rows]
        expert.inner.conv.weight.data = own.inner.conv.weight[rows]
        expert.inner.conv.bias.data = own.inner.conv.bias[rows]
        expert.up_proj.weight.data = own.up_proj[rows].T
        expert.up_proj.bias.data = own.up_proj[n * R + i]
        expected = expected + weights[..., i : i + 1] * expert(x)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


# In an encoder


@pytest.mark.parametrize(
    ("methods", "apart"),
    [
        ([], 2),
        ([PromptTuning(tokens=3, deep=True)], 4),
        ([PromptTuning(tokens=3, deep=False, replace_distillation=False)], 5),
    ],
    ids=["plain", "deep prompts", "shallow prompts"],
)
def test_ast_gives_its_grid_whatever_stands_in_front(methods, apart, tiny_ast):
    block = partial(GRID, init_std=0.3)
    insert = Insert(at=["attention"], layers=[1], block=block)
    backbone = AST(tiny_ast, frames=100)
    encoder = TunedEncoder(backbone, [*methods, insert]).eval()
    (path,) = (p for n, p in encoder.inserted.items() if "attention" in n)
    block, seen = encoder.get_submodule(path), []
    block.register_forward_hook(lambda _, args, out: seen.append((*args, out)))
    with torch.no_grad():
        encoder(torch.randn(1, 100, 128))
        ((x, mask, out),) = seen
        rows, columns = backbone.sites.grid
        assert mask is None and x.shape[1] == apart + rows * columns
        expected = naive(block, x, rows, columns, lambda r, c: r * columns + c)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_grid_is_that_of_hugging_face(tiny_ast):
    """Each cell is the token that a change there in the spectrogram moves."""
    backbone = AST(tiny_ast, frames=100)
    rows, columns = backbone.sites.grid
    config = backbone.model.config
    size = config.patch_size
    assert size == config.time_stride == config.frequency_stride
    assert (rows, columns) == (128 // size, 100 // size)
    patches = backbone.model.embeddings.patch_embeddings
    silence = torch.zeros(1, 100, 128)
    with torch.no_grad():
        before = patches(silence)
        for row, column in ((0, columns - 1), (rows - 1, 0), (1, 2)):
            changed = silence.clone()
            changed[0, column * size, row * size] = 1.0
            (moved,) = (patches(changed) != before).any(-1)
            assert moved.nonzero().tolist() == [[row * columns + column]]


def test_encoders_of_waveforms_are_refused(tiny_wav2vec2):
    insert = Insert(at=["ffn"], block=GRID)
    with pytest.raises(
        HparamsError, match="wav2vec2 has frames .* 'over: time'"
    ):
        TunedEncoder(Wav2Vec2(tiny_wav2vec2["group"]), [insert])


def test_experts_in_a_mixture_get_the_grid(tiny_ast):
    dense = partial(DenseMoA, expert=GRID, experts=2)
    insert = Insert(at=["ffn"], block=dense)
    plain, backbone = (AST(tiny_ast, frames=100).eval() for _ in range(2))
    encoder = TunedEncoder(backbone, [insert]).eval()
    inputs = torch.randn(1, 100, 128)
    with torch.no_grad():
        assert torch.equal(encoder(inputs)[0], plain(inputs))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: ConvPass(D, reduction=8, over="space"),
            "over 'space' is none",
        ),
        (lambda: GRID(D)(torch.rand(1, 16, D)), "the grid is not set"),
        (lambda: made()(torch.rand(1, 14, D)), "14 tokens do not fill"),
    ],
)
def test_what_cannot_work_is_an_error(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_slots_of_a_soft_mixture_are_no_patches():
    block = SoftMoA(D, expert=GRID, experts=2, slots=2)
    block.experts.inner.grid = ROWS, COLUMNS
    with pytest.raises(ValueError, match="do not fill a grid"):
        block(torch.randn(1, 16, D))
