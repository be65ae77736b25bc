"""An exported program of torch, with a program that classifies with it."""

import torch
from torch.export import Dim

from petl_modules.exports.cards import model_card
from petl_modules.exports.graphs import USE, Graph, write_example
from petl_modules.exports.quiet import quiet
from petl_modules.utils import write_text

TOLERANCE = 1e-6
NOTES = (
    "`torch.export.load` opens `model.pt2`, without the code of the model. It "
    "takes the features of `numpy_features.py`, in batches of any size and of "
    "clips of one length; it returns logits and embeddings.",
    "LoRA is merged. Outputs equal those of training to 1e-6 from the same "
    "features, and to 1e-4 from those that NumPy makes.",
)
SHORTEST = "The input has at least {least} {name}."


def write(trained, folder):
    """Write ``model.pt2`` and what classifies with it.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model; LoRA in it is merged.
    folder : pathlib.Path
        An empty folder.

    Raises
    ------
    ExportError
        See ``Graph``.
    """
    graph = Graph(trained, "pt2")
    varying = dict.fromkeys(graph.varying, Dim.DYNAMIC)
    with quiet(), torch.no_grad():
        program = torch.export.export(
            graph, (graph.inputs(2, 0.7),), dynamic_shapes=(varying,)
        )
        file = folder / "model.pt2"
        torch.export.save(program, file)
        # The guards are on strides, and refuse a batch of one
        run = torch.export.load(file).module(check_guards=False)
        graph.check(run, TOLERANCE)
    write_example(trained, folder, "classify_pt2")
    notes = [*NOTES, *_limits(graph, program)]
    use = USE.format(library="torch")
    card = model_card(trained, use, notes, "pytorch")
    write_text(folder / "README.md", card)


def _limits(graph, program):
    """Return sentences about the shortest input."""
    (user,) = program.graph_signature.user_inputs
    node = next(node for node in program.graph.nodes if node.name == user)
    for place, name in graph.varying.items():
        symbol = node.meta["val"].shape[place].node.expr
        least = int(program.range_constraints[symbol].lower)
        if name != "batch":
            yield SHORTEST.format(least=least, name=name)
