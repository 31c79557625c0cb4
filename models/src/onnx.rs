//! Reads weights and the graph's shape out of ONNX files: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3>.
//!
//! Only what a converter needs: named constants (initialisers and `Constant` nodes, those of `If` branches too) and
//! which node reads which of them.

use crate::platform::FileBytes;
use prost::Message;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// An ONNX file in memory.
pub(crate) struct Onnx {
    file_name: String,
    tensors: HashMap<String, TensorProto>,
    nodes: Vec<Node>,
}

/// One operation: which tensors it reads and which it makes, by name. An absent optional input is an empty name.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The node's own name; often empty.
    pub(crate) name: String,
    /// The operator, such as `MatMulInteger`.
    pub(crate) op_type: String,
    /// The tensors that it reads.
    pub(crate) inputs: Vec<String>,
    /// The tensors that it makes.
    pub(crate) outputs: Vec<String>,
}

/// A constant of the graph, checked: `bytes` holds exactly the product of `dims` elements, little endian.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnnxTensor<'a> {
    /// Sizes, outermost first; empty for a scalar.
    pub(crate) dims: Vec<usize>,
    /// The type of an element.
    pub(crate) dtype: OnnxType,
    /// The elements.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// Element types that occur in weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnnxType {
    F32,
    U8,
    I8,
    I32,
}

impl Onnx {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`].
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file_name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self::parse(&FileBytes::open(path)?, file_name)
    }

    /// Reads a file's bytes; `file_name` is for messages.
    ///
    /// # Errors
    /// [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`].
    pub(crate) fn parse(bytes: &[u8], file_name: String) -> Result<Self> {
        if top_level_is_cut(bytes) {
            return Err(Error::new(ErrorCode::ModelTruncated, format!("model file is truncated: {file_name}")));
        }
        let corrupt = || Error::new(ErrorCode::ModelCorrupt, format!("malformed ONNX file: {file_name}"));
        let model = ModelProto::decode(bytes).map_err(|e| corrupt().with_source(e))?;
        let graph = model.graph.ok_or_else(corrupt)?;
        let mut onnx = Self { file_name, tensors: HashMap::new(), nodes: Vec::new() };
        onnx.collect(graph);
        Ok(onnx)
    }

    /// The operations, in order; those of a branch follow the node that holds it.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// True if a constant has this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The constant with this name.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where there is none or its data do not fit its dims;
    /// [`ErrorCode::ModelUnsupported`] for another element type, or data in another file.
    pub(crate) fn tensor(&self, name: &str) -> Result<OnnxTensor<'_>> {
        let fail = |code, what: &str| Error::new(code, format!("{}: tensor {name} {what}", self.file_name));
        let proto = self.tensors.get(name).ok_or_else(|| fail(ErrorCode::ModelCorrupt, "is missing"))?;
        if proto.data_location != 0 {
            return Err(fail(ErrorCode::ModelUnsupported, "lies in another file"));
        }
        let dtype = OnnxType::from_number(proto.data_type)
            .ok_or_else(|| fail(ErrorCode::ModelUnsupported, "has an unknown element type"))?;
        let dims: Option<Vec<usize>> = proto.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
        let dims = dims.ok_or_else(|| fail(ErrorCode::ModelCorrupt, "has a negative size"))?;
        let len = dims.iter().try_fold(dtype.size_bytes(), |product, &n| product.checked_mul(n));
        let bytes = proto.elements(dtype);
        if len != Some(bytes.len()) {
            return Err(fail(ErrorCode::ModelCorrupt, "has more or fewer elements than its shape says"));
        }
        Ok(OnnxTensor { dims, dtype, bytes })
    }

    /// Takes over a graph's constants and nodes, then those of its branches. Names are unique over all of them, as
    /// the format demands; where a damaged file repeats one, the outer and earlier one counts.
    fn collect(&mut self, graph: GraphProto) {
        for tensor in graph.initializer {
            self.tensors.entry(tensor.name.clone()).or_insert(tensor);
        }
        for node in graph.node {
            let mut branches = Vec::new();
            for attribute in node.attribute {
                if let (Some(tensor), "Constant", "value", Some(output)) =
                    (attribute.t, node.op_type.as_str(), attribute.name.as_str(), node.output.first())
                {
                    self.tensors.entry(output.clone()).or_insert(tensor);
                }
                branches.extend(attribute.g);
            }
            self.nodes.push(Node { name: node.name, op_type: node.op_type, inputs: node.input, outputs: node.output });
            branches.into_iter().for_each(|branch| self.collect(branch));
        }
    }
}

impl OnnxTensor<'_> {
    /// The elements as numbers, whatever their type.
    pub(crate) fn to_f32(&self) -> Vec<f32> {
        fn read<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
        }
        let bytes = &*self.bytes;
        match self.dtype {
            OnnxType::F32 => read(bytes, f32::from_le_bytes),
            OnnxType::U8 => read(bytes, |[b]| f32::from(b)),
            OnnxType::I8 => read(bytes, |b| f32::from(i8::from_le_bytes(b))),
            OnnxType::I32 => read(bytes, |b| i32::from_le_bytes(b) as f32),
        }
    }
}

impl OnnxType {
    /// The type with this number in `TensorProto.DataType`.
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            6 => Self::I32,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub(crate) fn size_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F32 | Self::I32 => 4,
        }
    }
}

impl TensorProto {
    /// The elements as little-endian bytes, from whichever field holds them.
    fn elements(&self, dtype: OnnxType) -> Cow<'_, [u8]> {
        if !self.raw_data.is_empty() {
            return Cow::Borrowed(&self.raw_data);
        }
        Cow::Owned(match dtype {
            OnnxType::F32 => self.float_data.iter().flat_map(|n| n.to_le_bytes()).collect(),
            OnnxType::I32 => self.int32_data.iter().flat_map(|n| n.to_le_bytes()).collect(),
            // Smaller types travel in the low bits of an int32 each.
            OnnxType::U8 | OnnxType::I8 => self.int32_data.iter().map(|n| *n as u8).collect(),
        })
    }
}

/// True if the last top-level field says that it is longer than the file. Almost all of an ONNX file is the one
/// field that holds the graph, so this tells a cut file from a damaged one.
fn top_level_is_cut(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    if rest.is_empty() {
        return true;
    }
    while !rest.is_empty() {
        let Ok(key) = prost::encoding::decode_varint(&mut rest) else { return rest.len() < 10 };
        let len = match key & 7 {
            0 => match prost::encoding::decode_varint(&mut rest) {
                Ok(_) => 0,
                Err(_) => return rest.len() < 10,
            },
            1 => 8,
            2 => match prost::encoding::decode_varint(&mut rest) {
                Ok(len) => len,
                Err(_) => return rest.len() < 10,
            },
            5 => 4,
            _ => return false,
        };
        match usize::try_from(len).ok().and_then(|len| rest.get(len..)) {
            Some(after) => rest = after,
            None => return true,
        }
    }
    false
}

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "5")]
    t: Option<TensorProto>,
    #[prost(message, optional, tag = "6")]
    g: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    int32_data: Vec<i32>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[i64], numbers: &[f32]) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: 1,
            raw_data: numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
            ..Default::default()
        }
    }

    fn constant(output: &str, value: TensorProto) -> NodeProto {
        NodeProto {
            output: vec![output.into()],
            op_type: "Constant".into(),
            attribute: vec![AttributeProto { name: "value".into(), t: Some(value), g: None }],
            ..Default::default()
        }
    }

    fn file(graph: GraphProto) -> Vec<u8> {
        ModelProto { graph: Some(graph) }.encode_to_vec()
    }

    fn open(bytes: &[u8]) -> Result<Onnx> {
        Onnx::parse(bytes, "test.onnx".into())
    }

    #[test]
    fn finds_initialisers_and_constants_in_branches() {
        let branch = GraphProto { node: vec![constant("inner", tensor("", &[], &[7.0]))], ..Default::default() };
        let choice = NodeProto {
            op_type: "If".into(),
            attribute: vec![AttributeProto { name: "then_branch".into(), t: None, g: Some(branch) }],
            ..Default::default()
        };
        let graph = GraphProto { node: vec![choice], initializer: vec![tensor("w", &[2, 1], &[1.0, -2.0])] };
        let onnx = open(&file(graph)).unwrap();
        assert_eq!(onnx.tensor("w").unwrap().dims, [2, 1]);
        assert_eq!(onnx.tensor("w").unwrap().to_f32(), [1.0, -2.0]);
        assert_eq!(onnx.tensor("inner").unwrap().to_f32(), [7.0]);
        assert_eq!(onnx.nodes().iter().map(|n| n.op_type.as_str()).collect::<Vec<_>>(), ["If", "Constant"]);
    }

    #[test]
    fn reads_every_place_that_elements_may_be_in() {
        let typed = TensorProto {
            name: "i".into(),
            dims: vec![2],
            data_type: 3,
            int32_data: vec![-1, 5],
            ..Default::default()
        };
        let onnx = open(&file(GraphProto { initializer: vec![typed], node: vec![] })).unwrap();
        assert_eq!(onnx.tensor("i").unwrap().to_f32(), [-1.0, 5.0]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_corrupt() {
        let wrong = [tensor("a", &[3], &[1.0]), tensor("b", &[-1], &[1.0]), tensor("c", &[i64::MAX, 9], &[1.0])];
        let onnx = open(&file(GraphProto { initializer: wrong.to_vec(), node: vec![] })).unwrap();
        for name in ["a", "b", "c", "absent"] {
            assert_eq!(onnx.tensor(name).unwrap_err().code(), ErrorCode::ModelCorrupt, "{name}");
        }
    }

    #[test]
    fn a_cut_file_is_truncated_and_a_scrambled_one_corrupt() {
        let bytes = file(GraphProto { initializer: vec![tensor("w", &[64], &[0.5; 64])], node: vec![] });
        for len in 0..bytes.len() {
            assert_eq!(open(&bytes[..len]).err().map(|e| e.code()), Some(ErrorCode::ModelTruncated), "{len} bytes");
        }
        let mut scrambled = bytes;
        scrambled[4] ^= 0xff;
        assert_eq!(open(&scrambled).err().map(|e| e.code()), Some(ErrorCode::ModelCorrupt));
        let missing = Onnx::open(Path::new("no-such-file.onnx")).err().map(|e| e.code());
        assert_eq!(missing, Some(ErrorCode::ModelMissing));
    }
}
