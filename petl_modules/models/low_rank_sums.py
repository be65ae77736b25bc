"""Weighted sums of LoRA's products B A, in factors of some rank."""

import torch

from petl_modules.utils import HparamsError

A, B = ".lora_a.weight", ".lora_b.weight"


def low_rank_of(method):
    """Return the part of a method's settings with LoRA's rank, or None.

    Arguments
    ---------
    method : dict
        Settings, as ``petl_modules.models.settings.describe`` gives them.

    Returns
    -------
    dict or None
    """
    if method["class"] == "LoRA":
        form = method.get("form", {"class": "LowRank"})["class"]
        return method if form == "LowRank" else None
    block = method.get("block")
    is_low_rank = isinstance(block, dict) and block.get("class") == "LowRank"
    return block if is_low_rank else None


def sum_products(models, weights, rank):
    """Return the weighted sum of LoRA's products, in factors.

    Arguments
    ---------
    models, weights, rank
        See ``petl_modules.models.arithmetic.combine``.

    Returns
    -------
    factors : dict
        By place, such as ``0.layers.3.query``: A, B, and two squared norms:
        of what the rank leaves out, and of the whole product.
    rank : int or None
        None: there is no LoRA.

    Raises
    ------
    HparamsError
        If there is no such rank, LoRA has another form, or places share their
        A or B.
    """
    for method in models[0][1]["encoder"]["methods"]:
        form = method.get("form")
        if form is not None and form["class"] != "LowRank":
            raise HparamsError(
                f"LoRA has the form {form['class']}, and a sum of such models "
                "is none of this form: combine LoRA of the form LowRank"
            )
    roots, others = (
        [n.removesuffix(end) for n in models[0][0] if n.endswith(end)]
        for end in (A, B)
    )
    for root in sorted({*roots} ^ {*others}):
        raise HparamsError(
            f"LoRA at {root} shares a factor with another place, and the sum of "
            "such products is no such pair of factors: combine LoRA whose "
            "method has no 'share'"
        )
    if not roots:
        if rank is not None:
            raise HparamsError(f"rank is {rank}, and no model here has LoRA")
        return {}, None
    state = models[0][0]
    most = min(min(len(state[r + B]), state[r + A].shape[1]) for r in roots)
    if rank is None:
        ranks = [max(len(s[root + A]) for root in roots) for s, _ in models]
        rank = min(sum(ranks), most)
    if not 1 <= rank <= most:
        raise HparamsError(f"rank is {rank}: give 1 to {most}")
    return {root: _factor(models, weights, root, rank) for root in roots}, rank


def _factor(models, weights, root, rank):
    """Return A and B of the sum at one place, and two squared norms.

    The norms are those of what the rank leaves out and of the whole product.
    """
    down, up = [], []
    for (state, settings), weight in zip(models, weights):
        methods = settings["encoder"]["methods"]
        method = low_rank_of(methods[int(root.partition(".")[0])])
        alpha = method.get("alpha", 6.0) / method.get("rank", 6)
        down.append(state[root + A].double())
        up.append(weight * alpha * state[root + B].double())
    left, upper = torch.linalg.qr(torch.cat(up, 1))
    right, lower = torch.linalg.qr(torch.cat(down).T)
    u, values, v = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    scale = values[:rank].sqrt()
    b = left @ u[:, :rank] * scale
    a = (right @ v[:rank].T * scale).T
    missing = rank - len(scale)
    if missing > 0:
        b = torch.nn.functional.pad(b, (0, missing))
        a = torch.nn.functional.pad(a, (0, 0, 0, missing))
    squares = values.square()
    norms = squares[rank:].sum().item(), squares.sum().item()
    kind = models[0][0][root + A].dtype
    return a.to(kind).contiguous(), b.to(kind).contiguous(), norms
