"""An ONNX file, with a program in NumPy that classifies with it."""

import json

import onnxruntime
import onnxscript  # noqa: F401  the exporter needs it
import torch

from petl_modules.exports.cards import model_card
from petl_modules.exports.graphs import (
    OUTPUTS,
    USE,
    Graph,
    write_example,
)
from petl_modules.exports.quiet import quiet
from petl_modules.utils import write_text

TOLERANCE = 1e-5
OPSET = 18
NOTES = (
    "`model.onnx` takes the features of `numpy_features.py`, in batches of any "
    "size and of clips of one length; it returns `logits` and `embeddings`.",
    "LoRA is merged. Outputs equal those of training to 1e-5 from the same "
    "features, and to 1e-4 from those that NumPy makes.",
)


def write(trained, folder):
    """Write ``model.onnx`` and what classifies with it.

    A model of more than 2 GB has its weights in ``model.onnx.data``.

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
    graph = Graph(trained, "onnx")
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            (graph.inputs(2, 0.7),),
            input_names=[graph.input],
            output_names=OUTPUTS,
            dynamic_shapes=(graph.varying,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(
        labels=json.dumps(trained.labels),
        sampling_rate=str(trained.features.sample_rate),
        weights_sha256=trained.weights_sha256,
    )
    file = folder / "model.onnx"
    program.save(file)
    session = onnxruntime.InferenceSession(
        file, providers=["CPUExecutionProvider"]
    )
    graph.check(
        lambda inputs: session.run(OUTPUTS, {graph.input: inputs.numpy()}),
        TOLERANCE,
    )
    write_example(trained, folder, "classify_onnx")
    use = USE.format(library="onnxruntime")
    card = model_card(trained, use, NOTES, "onnx")
    write_text(folder / "README.md", card)
