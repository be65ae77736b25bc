"""Which tokens of the hidden states leave the encoder."""

from petl_modules.utils import HparamsError

TOKENS = (
    "all",
    "cls",
    "cls+distillation",
    "prompts",
    "speech",
    "prompts+speech",
)


def select_tokens(tokens, sites, prompts, leading):
    """Return the slice of the time axis for a choice of tokens.

    Arguments
    ---------
    tokens : str
        ``all``, ``cls``, ``cls+distillation``, ``prompts``, ``speech`` (all
        but CLS, distillation token and prompts) or ``prompts+speech``.
    sites : petl_modules.backbones.Sites
        The encoder's.
    prompts : int
        How many prompts the methods add.
    leading : int
        How many tokens are in front of prompts and frames, see
        ``count_leading``.

    Returns
    -------
    slice

    Raises
    ------
    HparamsError
        If there is no such choice, or if it takes tokens that this encoder
        does not have.
    """
    if tokens not in TOKENS:
        raise HparamsError(
            f"pooling '{tokens}' is none of: {', '.join(TOKENS)}"
        )
    if "cls" in tokens and not leading:
        raise HparamsError(
            f"pooling '{tokens}': a {sites.kind} has no CLS token; "
            "pool 'speech' or 'all'"
        )
    if tokens == "cls+distillation" and leading < 2:
        raise HparamsError(
            f"pooling '{tokens}': the prompts replace the distillation token; "
            "give prompt tuning 'replace_distillation: False'"
        )
    if "prompts" in tokens and not prompts:
        raise HparamsError(
            f"pooling '{tokens}' takes prompts, and no method here has any: "
            "add prompt tuning, or pool 'all'"
        )
    return {
        "all": slice(None),
        "cls": slice(0, 1),
        "cls+distillation": slice(0, 2),
        "prompts": slice(leading, leading + prompts),
        "speech": slice(leading + prompts, None),
        "prompts+speech": slice(leading, None),
    }[tokens]


def require_frames(tokens, sites, prompts):
    """Refuse tokens that are no sequence of frames in time.

    A head without a pooling reads each token as a frame.

    Arguments
    ---------
    tokens, sites, prompts
        See ``select_tokens``.

    Raises
    ------
    HparamsError
        If the encoder's tokens are not in the order of time, or if CLS or
        prompts are among them.
    """
    if not sites.layout.time_major:
        raise HparamsError(
            f"a head for each frame needs tokens in the order of time: a "
            f"{sites.kind} has several patches at a time. Add a pooling, or "
            "take an encoder of waveforms"
        )
    if tokens != "speech" and (
        tokens != "all" or prompts or sites.layout.num_prefix_tokens
    ):
        raise HparamsError(
            f"tokens '{tokens}': a head for each frame reads 'speech' alone"
        )


def count_prompts(methods):
    """Return how many prompts the methods add to a layer's input.

    Arguments
    ---------
    methods : list
        See ``TunedEncoder``.

    Returns
    -------
    int

    Raises
    ------
    HparamsError
        If two methods add prompts.
    """
    counts = [getattr(method, "added_tokens", 0) for method in methods]
    if len([count for count in counts if count]) > 1:
        raise HparamsError("'methods' contains prompt tuning twice")
    return sum(counts)


def count_leading(methods, layout):
    """Return how many tokens stay in front of prompts and frames.

    Arguments
    ---------
    methods : list
        See ``TunedEncoder``.
    layout : petl_modules.backbones.layouts.Layout
        The encoder's.

    Returns
    -------
    int
    """
    for method in methods:
        prompts = getattr(method, "added_tokens", 0)
        if prompts and getattr(method, "replace_distillation", True):
            return layout.tokens_before_prompts
    return layout.num_prefix_tokens
