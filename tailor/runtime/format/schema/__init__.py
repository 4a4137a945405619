"""The Core ML format as protobuf messages: the ``.proto`` files and the code generated from them. See ``../README.md``."""
