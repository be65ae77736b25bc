"""The contract that every method keeps."""

from collections.abc import Iterable
from typing import Protocol

from petl_modules.methods.insertion import Insertion


class Method(Protocol):
    """Where blocks go in an encoder, and how.

    A method is made from plain values and block factories, which it keeps
    under the names of its arguments: they are its description in a checkpoint.

    ``added_tokens`` is optional: how many tokens the method puts in front of
    the frames (0 if it is absent). With ``replace_distillation = False`` they
    leave AST's distillation token in its place.
    """

    added_tokens: int

    def insertions(self, sites) -> Iterable[Insertion]:
        """Yield an ``Insertion`` for each block.

        ``sites`` is a ``petl_modules.backbones.Sites`` of an untouched
        encoder. ``sites.select(at, layers)`` gives the places,
        ``sites.widths(site)`` the widths that a block is made from.
        """
