"""Sites (target modules): the places in an encoder, by names that all share.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.backbones.layouts import LAYOUTS, kind_of


class Sites:
    """The sites of one encoder, by names that all backbones share.

    ``layers.3.query`` is the query projection of the fourth layer,
    ``final_norm`` the norm outside the layers: behind the last one, or, where
    layers normalise behind their sublayers, in front of the first.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        The encoder. Its configuration selects the table entry.

    Raises
    ------
    ValueError
        If there is no entry for this kind of encoder.
    """

    def __init__(self, model):
        kind = kind_of(model.config)
        if kind not in LAYOUTS:
            raise ValueError(
                f"no sites are known for backbones of the kind '{kind}'; "
                f"known: {', '.join(LAYOUTS)}. An entry in LAYOUTS of "
                f"{__name__} adds one"
            )
        self.model = model
        self.kind = kind
        self.layout = LAYOUTS[kind]
        self.n_layers = len(model.get_submodule(self.layout.layers))

    def in_every_layer(self, names):
        """The given sites in all layers, in the order of the layers.

        Arguments
        ---------
        names : list of str
            Site names such as ``attention`` or ``query``.

        Returns
        -------
        list of str
            Full names, such as ``layers.0.query``.

        Raises
        ------
        ValueError
            If a name is none of this backbone's or stands twice, or if the
            list is empty.
        """
        known = self.layout.in_layer
        if isinstance(names, str) or not names:
            raise ValueError(
                f"'at' takes a list of sites, not {names!r}; sites: "
                f"{', '.join(known)}"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"'at' names a site twice: {list(names)}")
        for name in names:
            if name not in known:
                raise ValueError(
                    f"no site '{name}' in {self.kind}; sites: "
                    f"{', '.join(known)}"
                )
        return [f"layers.{i}.{n}" for i in range(self.n_layers) for n in names]

    def path(self, site):
        """Module path of a site (``layers.3`` alone is a layer)."""
        if not site.startswith("layers."):
            return self.layout.outside[site]
        _, index, *name = site.split(".")
        inside = [self.layout.in_layer[name[0]]] if name else []
        return ".".join([self.layout.layers, index, *inside])

    def module(self, site):
        """The module at a site."""
        return self.model.get_submodule(self.path(site))

    def feeding_norm(self, site):
        """Site of the norm whose output is a site's input, or None."""
        norm = f"{site.rpartition('.')[2]}_norm"
        return f"{site}_norm" if norm in self.layout.in_layer else None

    def parameter_names(self):
        """Names of all parameters by site.

        Returns
        -------
        dict
            From parameter path in the model, ``layers.3.mlp.fc1.weight``, to
            a name that holds for every backbone, ``layers.3.ffn.fc1.weight``.
        """
        sites = [*self.layout.outside]
        sites += self.in_every_layer([*self.layout.in_layer])
        paths = {self.path(site): site for site in sites}
        by_length = sorted(paths, key=len, reverse=True)
        names = {}
        for path, _ in self.model.named_parameters():
            root = next((p for p in by_length if path.startswith(p + ".")), "")
            names[path] = paths.get(root, "") + path[len(root) :]
        return names
