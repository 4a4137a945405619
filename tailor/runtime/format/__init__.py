"""The Core ML file format: load, save, weights, layers, builders. The only place that knows protobuf; see README.md."""

from __future__ import annotations

from .builder import (
    AdamParams,
    Batch,
    KNearestNeighborsClassifierBuilder,
    NeuralNetworkBuilder,
    Pipeline,
    PipelineClassifier,
    PipelineRegressor,
    RangeParam,
    SgdParams,
    attach_neighbors,
    make_linked_model,
    make_pipeline,
)
from .contents import read_contents, write_contents
from .features import array_feature, dictionary_feature, double_feature, image_feature, int64_feature, sequence_feature, string_feature
from .floats import read_floats, write_floats
from .frames import front_bytes, read_frames
from .layers import LayerRecord, Network, every_layer, layers
from .load import load_model
from .origins import ORIGINS_KEY, OriginRow, origin_rows, origin_texts, read_origins, write_origins
from .package import package_model
from .peek import peek_model_type
from .samples import append_samples, read_samples
from .save import model_bytes, model_hash, save_model
from .schema.model_pb2 import Model
from .schema.network_pb2 import NeuralNetworkLayer
from .validate import NEWEST_VERSION, model_type, network_of, pipeline_of
from .weights import decode_weights, encode_weights, weight_message, weight_storage

__all__ = [
    "NEWEST_VERSION",
    "ORIGINS_KEY",
    "AdamParams",
    "Batch",
    "KNearestNeighborsClassifierBuilder",
    "LayerRecord",
    "Model",
    "Network",
    "NeuralNetworkBuilder",
    "NeuralNetworkLayer",
    "OriginRow",
    "Pipeline",
    "PipelineClassifier",
    "PipelineRegressor",
    "RangeParam",
    "SgdParams",
    "append_samples",
    "array_feature",
    "attach_neighbors",
    "decode_weights",
    "dictionary_feature",
    "double_feature",
    "encode_weights",
    "every_layer",
    "front_bytes",
    "image_feature",
    "int64_feature",
    "layers",
    "load_model",
    "make_linked_model",
    "make_pipeline",
    "model_bytes",
    "model_hash",
    "model_type",
    "network_of",
    "origin_rows",
    "origin_texts",
    "package_model",
    "peek_model_type",
    "pipeline_of",
    "read_contents",
    "read_floats",
    "read_frames",
    "read_origins",
    "read_samples",
    "save_model",
    "sequence_feature",
    "string_feature",
    "weight_message",
    "weight_storage",
    "write_contents",
    "write_floats",
    "write_origins",
]
