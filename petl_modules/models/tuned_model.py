"""Encoder, pooling and head in one module, for every task."""

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from torch import nn

from petl_modules.models.quantization import count_weights
from petl_modules.models.settings import describe
from petl_modules.models.trained_weights import load_trained, save_trained


@register_checkpoint_hooks
class TunedModel(nn.Module):
    """Encoder, pooling, embedding and head: what is wrapped and saved.

    Only what is trained is saved. What the head's outputs mean, the model does
    not know: that belongs to the task's loss and metrics.

    ============== ======================= ===================================
    task           pooling                 head
    ============== ======================= ===================================
    classification ``MeanPooling``         ``Linear``: logits of a clip
    recognition    none, and               ``Linear``: logits of each frame,
                   ``tokens: speech``      for a CTC loss with the mask;
                                           ``RecurrentHead``
    verification   ``MeanStdPooling``, ... and an ``embedding``; SpeechBrain's
                                           ``Classifier``: cosines of speakers.
                                           ``embed`` gives what trials compare
    ============== ======================= ===================================

    Arguments
    ---------
    encoder : petl_modules.models.TunedEncoder
        The encoder.
    head : callable
        Makes the head from the width that it reads, e.g. a ``!name:`` entry
        ``!name:torch.nn.Linear {out_features: 35}``.
        One with ``takes_mask = True`` is called with the mask, too, where there
        is no pooling.
    pooling : torch.nn.Module, callable or None
        See ``MeanPooling``. One with parameters is made from the encoder's
        ``d_out``, by a ``!name:`` entry. None: the head reads every token.
    embedding : callable or None
        Makes, from the width of the pooled vectors, a module with
        ``out_features`` between them and the head. None: the head reads the
        pooled vectors.
    must_match : dict or None
        Plain data that a checkpoint must share with the model, such as the
        names of the classes.

    Raises
    ------
    petl_modules.utils.HparamsError
        If there is no pooling, and the encoder's tokens are no frames in time.

    Example
    -------
    >>> import tempfile, torch
    >>> from functools import partial
    >>> from petl_modules.backbones import AST, write_tiny_ast
    >>> from petl_modules.models import MeanPooling, TunedEncoder
    >>> folder = tempfile.mkdtemp() + "/tiny-ast"
    >>> write_tiny_ast(folder)
    >>> encoder = TunedEncoder(AST(folder, frames=100))
    >>> head = partial(nn.Linear, out_features=2)
    >>> model = TunedModel(encoder, head, MeanPooling())
    >>> model(torch.rand(3, 100, 128)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, encoder, head, pooling=None, must_match=None, embedding=None
    ):
        super().__init__()
        self._parts = {  # as given
            "pooling": describe(pooling),
            "embedding": describe(embedding),
            "head": describe(head),
        }
        self.encoder = encoder
        if pooling is None:
            encoder.require_frames()
        elif not isinstance(pooling, nn.Module):
            pooling = pooling(encoder.d_out)
        self.pooling = pooling
        width = encoder.d_out
        width = width if pooling is None else pooling.width(width)
        self.embedding = None
        if embedding is not None:
            self.embedding = embedding(width)
            width = self.embedding.out_features
        self.head = head(width)
        self.must_match = dict(must_match or {})

    def forward(self, inputs, lengths=None):
        """Return the head's outputs.

        Arguments
        ---------
        inputs : torch.Tensor
            What the backbone takes, ``[batch, ...]``.
        lengths : torch.Tensor or None
            Relative lengths of padded inputs, ``[batch]``.

        Returns
        -------
        torch.Tensor or tuple
            ``[batch, outputs]``. Without pooling ``[batch, time, outputs]``
            and the mask of the real tokens, or None.
        """
        return self.read(*self.encoder(inputs, lengths))

    def read(self, hidden, mask=None):
        """Return the head's outputs for what the encoder returns.

        Arguments
        ---------
        hidden, mask : torch.Tensor
            See ``petl_modules.models.TunedEncoder.forward``.

        Returns
        -------
        torch.Tensor or tuple
            See ``forward``.
        """
        if self.pooling is not None:
            return self.head(self._pool(hidden, mask))
        if getattr(self.head, "takes_mask", False):
            return self.head(hidden, mask), mask
        return self.head(hidden), mask

    def embed(self, inputs, lengths=None):
        """Return the pooled hidden states, or their embedding.

        Arguments
        ---------
        inputs, lengths : torch.Tensor
            See ``forward``.

        Returns
        -------
        torch.Tensor
            ``[batch, width]``.

        Raises
        ------
        TypeError
            If the model has no pooling.
        """
        if self.pooling is None:
            raise TypeError("this model has no pooling: nothing to embed with")
        return self._pool(*self.encoder(inputs, lengths))

    def _pool(self, hidden, mask):
        pooled = self.pooling(hidden, mask)
        return pooled if self.embedding is None else self.embedding(pooled)

    def count_parameters(self):
        """Count the parameters, by the names of ``summary.json``.

        Returns
        -------
        dict
            ``total_parameters``, ``trainable_parameters`` and
            ``petl_parameters`` (what is trained in the encoder).
        """

        def trained(module):
            return sum(
                p.numel() for p in module.parameters() if p.requires_grad
            )

        return {
            "total_parameters": count_weights(self),
            "trainable_parameters": trained(self),
            "petl_parameters": trained(self.encoder),
        }

    def settings(self):
        """Return what a checkpoint has to fit, as plain data."""
        return {
            "encoder": self.encoder.settings(),
            **self._parts,
            "must_match": describe(self.must_match),
        }

    @mark_as_saver
    def _save(self, path):
        save_trained(self, path)

    @mark_as_loader
    def _load(self, path, end_of_epoch=True):
        load_trained(self, path)
