"""onnxruntime on the CPU as a torch module without gradients: what an ONNX graph really says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from raiaudit.models.outside.extras import require

if TYPE_CHECKING:
    from raiaudit.models.outside.onnx_graph import Graph

__all__ = ["OnnxRuntime", "first_line"]


class OnnxRuntime(torch.nn.Module):
    """The tensor `output` of a graph. Raises `ArtifactRefusedError` for a graph it cannot load."""

    def __init__(self, graph: Graph, output: str) -> None:
        super().__init__()
        runtime = require("onnxruntime", extra="onnx", what="asking an ONNX graph")
        from onnx import helper

        model = type(graph.model)()
        model.CopyFrom(graph.model)
        if output not in {value.name for value in model.graph.output}:
            model.graph.output.append(helper.make_empty_tensor_value_info(output))
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.log_severity_level = 4  # its own log says what the error says
        try:
            self._session = runtime.InferenceSession(
                model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library has no root of errors
            raise graph.refused(
                f"onnxruntime cannot load it: {first_line(error)}",
                "export it with standard operators, in an opset that the installed onnxruntime knows",
            ) from None
        self._name, self._output, self._dtype = graph.input.name, output, graph.input_dtype

    def forward(self, x: Tensor) -> Tensor:
        """The input in the graph's own shape → its answer as float32."""
        fed = {self._name: np.asarray(x.detach().cpu().contiguous()).astype(self._dtype)}
        (found,) = self._session.run([self._output], fed)
        return torch.from_numpy(np.asarray(found, dtype=np.float32)).to(x.device)


def first_line(error: Exception) -> str:
    """An error of somebody else's library in one line of bounded length."""
    return (str(error).splitlines() or [type(error).__name__])[0][:240]
