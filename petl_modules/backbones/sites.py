"""Sites (target modules): where blocks go, by names that all encoders share."""

from typing import NamedTuple

from torch import nn

from petl_modules.backbones.layouts import LAYOUTS, kind_of
from petl_modules.utils import HparamsError


class LayerSite(NamedTuple):
    """A site in one layer of one encoder, or a whole layer.

    Arguments
    ---------
    name : str
        ``layers.3.query``, or ``layers.3`` for a layer. Checkpoints use it.
    entry : str
        Path, in the encoder, of the module that takes the input.
    exit : str
        Path of the module that gives the output; mostly the same.
    norm : str or None
        Path of the norm whose output is the input, if there is one.
    """

    name: str
    entry: str
    exit: str
    norm: str | None = None

    @property
    def is_split(self):
        """Whether input and output belong to two modules."""
        return self.entry != self.exit


class Sites:
    """The sites of one encoder.

    Arguments
    ---------
    model : torch.nn.Module
        The encoder, untouched. Its ``config.model_type`` selects the entry of
        ``LAYOUTS``, and ``config.hidden_size`` is the width of its layers.
    grid : tuple of int or None
        Rows (frequency) and columns (time) of the patches, which are the last
        tokens, row by row. None: the tokens are frames in time.

    Raises
    ------
    HparamsError
        If there is no entry for this kind of encoder.
    """

    def __init__(self, model, grid=None):
        kind = kind_of(model.config)
        if kind not in LAYOUTS:
            raise HparamsError(
                f"no sites are known for backbones of the kind '{kind}'; "
                f"known: {', '.join(LAYOUTS)}. An entry in LAYOUTS of "
                "petl_modules.backbones.layouts adds one"
            )
        self.model = model
        self.kind = kind
        self.grid = grid
        self.layout = LAYOUTS[kind]
        self.d_model = model.config.hidden_size
        # Of encoders that read patches of a spectrogram
        self.patch_size = getattr(model.config, "patch_size", None)
        self.n_layers = len(model.get_submodule(self.layout.layers))
        # Names of the layers
        self.layers = [f"layers.{index}" for index in range(self.n_layers)]
        self._paths = self._named_paths()
        # It stays in place, whatever is wrapped around the last layer
        self.final_norm = self.module("final_norm")

    def select(self, at, layers="all"):
        """Return the sites of these names in these layers.

        Arguments
        ---------
        at : list of str
            Site names such as ``attention`` or ``query``.
        layers : str or list of int
            ``all``, ``last_<n>``, ``all_but_last``, or numbers such as
            ``[0, 5]``, counted from 0.

        Returns
        -------
        list of LayerSite
            In the order of the layers, within a layer in that of ``at``.

        Raises
        ------
        HparamsError
            If a site or a layer does not exist or is named twice, or if
            there is none.
        """
        if isinstance(at, str) or not at:
            raise HparamsError(
                f"'at' takes a list of sites, not {at!r}; sites: "
                f"{', '.join(self.layout.sites)}"
            )
        if len(set(at)) < len(at):
            raise HparamsError(f"'at' names a site twice: {list(at)}")
        for name in at:
            if name not in self.layout.sites:
                raise HparamsError(
                    f"no site '{name}' in {self.kind}; sites: "
                    f"{', '.join(self.layout.sites)}"
                )
        return [
            self._in_layer(layer, name)
            for layer in self.select_layers(layers)
            for name in at
        ]

    def select_layers(self, layers="all"):
        """Return these layers themselves, as sites.

        Arguments
        ---------
        layers : str or list of int
            See ``select``.

        Returns
        -------
        list of LayerSite
        """
        chosen = _numbers(layers, self.n_layers)
        if not chosen:
            raise HparamsError(
                f"layers is {layers!r}: choose all, last_<n>, all_but_last, or "
                "a list of different numbers such as [0, 5]. The backbone has "
                f"{self.n_layers} layers, 0 to {self.n_layers - 1}"
            )
        paths = [f"{self.layout.layers}.{index}" for index in chosen]
        names = [self.layers[index] for index in chosen]
        return [LayerSite(*pair, pair[1]) for pair in zip(names, paths)]

    def select_norms(self, layers="all"):
        """Return the norms of these layers, as sites.

        Arguments
        ---------
        layers : str or list of int
            See ``select``.

        Returns
        -------
        list of LayerSite
        """
        return [
            LayerSite(f"{layer.name}.{name}", *2 * [f"{layer.entry}.{path}"])
            for layer in self.select_layers(layers)
            for name, path in self.layout.norms.items()
        ]

    def _in_layer(self, layer, name):
        entry, exit, norm = self.layout.sites[name]
        return LayerSite(
            f"{layer.name}.{name}",
            f"{layer.entry}.{entry}",
            f"{layer.entry}.{exit or entry}",
            norm and f"{layer.entry}.{norm}",
        )

    def widths(self, site):
        """Return the widths of a site's input and output.

        Arguments
        ---------
        site : LayerSite
            See ``select``.

        Returns
        -------
        tuple of int
            ``(d_in, d_out)``.
        """
        first = self.model.get_submodule(site.entry)
        last = self.model.get_submodule(site.exit)
        return (
            getattr(first, "in_features", self.d_model),
            getattr(last, "out_features", self.d_model),
        )

    def linear(self):
        """Return the names of the sites that are one linear layer."""
        layer = self.model.get_submodule(self.select_layers()[0].entry)
        return [
            name
            for name, (entry, exit, _) in self.layout.sites.items()
            if exit is None
            and isinstance(layer.get_submodule(entry), nn.Linear)
        ]

    def path(self, name):
        """Return the module path of a name such as ``layers.1.ffn_norm``."""
        return self._paths[name]

    def module(self, name):
        """Return the module of a name such as ``final_norm``, ``layers.3``."""
        return self.model.get_submodule(self.path(name))

    def _named_paths(self):
        """Return the paths of all modules that have a name."""
        last = self.n_layers - 1
        paths = {
            name: path.format(last=last)
            for name, path in self.layout.outside.items()
        }
        for layer in self.select_layers():
            paths[layer.name] = layer.entry
            for name in self.layout.sites:
                site = self._in_layer(layer, name)
                if not site.is_split:
                    paths[site.name] = site.entry
            for name, norm in self.layout.norms.items():
                paths[f"{layer.name}.{name}"] = f"{layer.entry}.{norm}"
        return paths

    def parameter_names(self):
        """Return names of all parameters that hold for every backbone.

        The names in a checkpoint. A feed-forward's own module names what is
        inside it: ``ffn.fc1.weight``, not ``ffn_in.weight``.

        Returns
        -------
        dict
            From parameter path in the model, ``layers.3.mlp.fc1.weight``, to
            a name, ``layers.3.ffn.fc1.weight``.
        """
        names = {path: name for name, path in self._paths.items()}
        for layer in self.select_layers():
            del names[layer.entry]
        for site in self.select([*self.layout.feed_forwards]):
            names = {
                path: name
                for path, name in names.items()
                if site.is_split or not path.startswith(site.entry + ".")
            }
        longest_first = sorted(names, key=len, reverse=True)
        found = {}
        for path, _ in self.model.named_parameters():
            root = next(
                (p for p in longest_first if path.startswith(p + ".")), ""
            )
            found[path] = names.get(root, "") + path[len(root) :]
        return found


def _numbers(layers, n_layers):
    """Return the chosen layers in order; none if there is no such choice."""
    everything = list(range(n_layers))
    if layers == "all":
        return everything
    if layers == "all_but_last":
        return everything[:-1]
    if isinstance(layers, str):
        count = layers.removeprefix("last_")
        right = count != layers and count.isdecimal()
        right = right and 1 <= int(count) <= n_layers
        return everything[-int(count) :] if right else []
    if not isinstance(layers, (list, tuple)):
        return []
    right = all(type(n) is int and n in everything for n in layers)
    return sorted(layers) if right and len(set(layers)) == len(layers) else []
