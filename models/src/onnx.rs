//! Reads weights out of ONNX files.
