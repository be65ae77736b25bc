"""Attention with what prompts and prefixes need, on top of stock sdpa.

Authors
 * The PETL audio recipes team 2026
"""

import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION = "petl_sdpa"


def petl_sdpa(module, query, key, value, attention_mask, **kwargs):
    """Stock sdpa attention, with the module's prefix in front if it has one.

    A padding mask was made before prompts and prefixes came in: it is
    widened, so that every query sees them.

    Arguments
    ---------
    module : torch.nn.Module
        The attention module; its ``prefix``, where present, is a
        ``petl_modules.methods.prefix_tuning.Prefix``.
    query, key, value : torch.Tensor
        ``[batch, heads, time, d_head]``.
    attention_mask : torch.Tensor or None
        ``[batch, 1, time, time]`` bool, True where a key may be seen. All
        rows are the same (encoders look both ways).
    **kwargs
        Passed on.

    Returns
    -------
    tuple
        As stock sdpa: ``[batch, time, heads, d_head]``, None.
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
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, **kwargs
    )


def padding_mask(*args, attention_mask=None, **kwargs):
    """Stock sdpa's mask, without a look at whether anything is padded.

    To look is to wait for the device in every step. Where there is no padding
    mask there is none here either: the fastest kernels take none.
    """
    if attention_mask is not None:
        kwargs["allow_is_bidirectional_skip"] = False
    return sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


# Without a mask function under the same name the mask would arrive as None
AttentionInterface.register(ATTENTION, petl_sdpa)


AttentionMaskInterface.register(ATTENTION, padding_mask)
