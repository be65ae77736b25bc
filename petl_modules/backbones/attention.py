"""Stock sdpa attention, extended for prompts and prefixes."""

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION = f"{__name__}.petl_sdpa"  # the registry is that of the process


def attention_of(config):
    """Return the name of the attention that an encoder is made with.

    WavLM has one alone; ``petl_modules.backbones.wavlm`` replaces it.
    """
    return "eager" if config.model_type == "wavlm" else ATTENTION


def petl_sdpa(
    module, query, key, value, attention_mask, position_bias=None, **kwargs
):
    """Compute stock sdpa attention, with the module's prefix if it has one.

    The padding mask does not include prompts and prefixes. It is extended, so
    that every query sees them. A prefix has no position: its bias is 0.

    Arguments
    ---------
    module : torch.nn.Module
        The attention module; its ``prefix``, where present, is a
        ``petl_modules.methods.prefix_tuning.Prefix``.
    query, key, value : torch.Tensor
        ``[batch, heads, time, d_head]``.
    attention_mask : torch.Tensor or None
        ``[batch, 1, time, time]`` bool, True for keys that are attended to.
        All rows are the same (encoders are bidirectional).
    position_bias : torch.Tensor or None
        Added to the products of queries and keys, ``[batch, heads, time,
        time]``.
    **kwargs
        Passed on.

    Returns
    -------
    tuple
        As stock sdpa, ``[batch, time, heads, d_head]``, None.
    """
    prefix = getattr(module, "prefix", None)
    if prefix is not None:
        key, value = prefix(key, value)
    if attention_mask is not None:
        added = key.shape[2] - attention_mask.shape[3]
        if added:
            attention_mask = F.pad(
                attention_mask[:, :, :1], (added, 0), value=True
            )
    if position_bias is not None:
        added = key.shape[2] - position_bias.shape[3]
        bias = F.pad(position_bias, (added, 0))
        if attention_mask is not None:
            lowest = torch.finfo(bias.dtype).min
            bias = torch.where(attention_mask, bias, lowest)
        attention_mask = bias.contiguous()  # as kernels for GPUs want it
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, **kwargs
    )


def padding_mask(*args, attention_mask=None, **kwargs):
    """Return stock sdpa's mask, without its ``mask.all()`` shortcut.

    The shortcut would synchronise with the GPU in every step. Without a
    padding mask there is no mask here either: the fastest kernels take none.
    """
    if attention_mask is not None:
        kwargs["allow_is_bidirectional_skip"] = False
    return sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


# Without a mask function under the same name the mask would arrive as None
AttentionInterface.register(ATTENTION, petl_sdpa)


AttentionMaskInterface.register(ATTENTION, padding_mask)
