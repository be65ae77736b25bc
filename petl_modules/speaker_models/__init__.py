"""Speaker models that train from scratch, whole or partitioned.

ECAPA-TDNN and ResNet34 map filter banks ``[batch, frames, mels]`` to
embeddings. Feature partition and fusion make them lighter: our reading of the
abstract of https://arxiv.org/abs/2312.03324.
"""

from petl_modules.speaker_models.ecapa import EcapaPartition
from petl_modules.speaker_models.fusion import PartitionFusion, TacFusion
from petl_modules.speaker_models.resnet import ResNetPartition

__all__ = ["EcapaPartition", "PartitionFusion", "ResNetPartition", "TacFusion"]
