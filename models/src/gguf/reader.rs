//! [`Gguf`]: the reader. Every count, length and offset is checked against the file before anything is allocated.

use super::cursor::Cursor;
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, DIMENSIONS_MAX, GgmlType, MAGIC, Value, dequant};
use crate::platform::FileBytes;
use crate::source::{self, ModelSource};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tertulia::{Error, ErrorCode, Result};

/// Arrays may hold arrays, but not deeper than this.
const ARRAY_DEPTH_MAX: usize = 4;
/// Metadata is read from a host's reader in so many bytes at first, then in four times as many.
const HEAD_BYTES: usize = 1 << 20;
/// Longer keys and tensor names are refused, as by ggml.
const NAME_BYTES_MAX: usize = 65_535;

/// An open GGUF file: its metadata, and its tensors where they lie in the file.
#[derive(Debug)]
pub struct Gguf {
    bytes: FileBytes,
    file_len: usize,
    file_name: String,
    values: HashMap<String, Value>,
    tensors: Vec<TensorRecord>,
    by_name: HashMap<String, usize>,
}

/// A tensor where it lies in the file.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Row major: the outermost dimension first, the reverse of ggml's order.
    pub shape: &'a [usize],
    /// How its elements are stored.
    pub dtype: GgmlType,
    /// The stored elements; exactly as many bytes as shape and type ask for.
    pub data: &'a [u8],
}

/// A tensor that keeps its file open.
#[derive(Clone, Debug)]
pub struct SharedTensor {
    file: Arc<Gguf>,
    index: usize,
}

impl SharedTensor {
    /// The tensor where it lies in the file.
    pub fn view(&self) -> TensorView<'_> {
        self.file.view(&self.file.tensors[self.index])
    }

    /// Lets its pages leave memory; where they are needed after all, they are read from the file again.
    #[cfg(feature = "chat")]
    pub(crate) fn release(&self) {
        self.file.bytes.release(self.file.tensors[self.index].range.clone());
    }
}

impl Gguf {
    /// Maps a file into memory. The file must not be changed while it is open.
    ///
    /// # Errors
    /// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelLoadFailed`] where it cannot be read,
    /// [`ErrorCode::ModelTruncated`] where it is shorter than it says, [`ErrorCode::ModelCorrupt`] where its
    /// bytes contradict the format, [`ErrorCode::ModelUnsupported`] for other versions and tensor types.
    pub fn open(path: &Path) -> Result<Self> {
        let file_name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::parse(FileBytes::open(path)?, file_name)
    }

    /// Opens a file by its source: a path is mapped, bytes are used where they lie, and a reader is read once.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); the reader's; [`ErrorCode::OutOfMemory`].
    pub fn open_source(source: &ModelSource) -> Result<Self> {
        match source {
            ModelSource::Path(path) => Self::open(path),
            ModelSource::Bytes { bytes, .. } => Self::parse(FileBytes::Shared(bytes.clone()), source.file_name()),
            ModelSource::Reader { reader, .. } => {
                let len = reader_len(source, reader.byte_len()?)?;
                Self::parse(FileBytes::Read(source::read_up_to(&**reader, len)?), source.file_name())
            }
        }
    }

    /// The metadata alone: a reader is read only as far as they go, and there are no tensors then.
    #[allow(dead_code, reason = "backends use it, each of which is a feature")]
    pub(crate) fn open_head(source: &ModelSource) -> Result<Self> {
        let ModelSource::Reader { reader, .. } = source else {
            return Self::open_source(source);
        };
        let file_len = reader_len(source, reader.byte_len()?)?;
        let mut head_len = HEAD_BYTES.min(file_len);
        loop {
            let bytes = source::read_up_to(&**reader, head_len)?;
            let cursor = Cursor { file_len, ..Cursor::new(&bytes) };
            match cursor.file() {
                Err(error) if error.code() == ErrorCode::ModelTruncated && head_len < file_len => {
                    head_len = head_len.saturating_mul(4).min(file_len);
                }
                Err(error) => return Err(named(&source.file_name(), &error)),
                Ok((values, _)) => {
                    let (tensors, by_name, bytes) = (Vec::new(), HashMap::new(), FileBytes::Read(Vec::new()));
                    return Ok(Self { bytes, file_len, file_name: source.file_name(), values, tensors, by_name });
                }
            }
        }
    }

    /// Reads a file that is in memory already.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) except `ModelMissing` and `ModelLoadFailed`.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::parse(FileBytes::Read(bytes), "model".into())
    }

    /// The file's name without its folder, for messages.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> usize {
        self.file_len
    }

    /// A value of the metadata.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The keys of the metadata, in no order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// An integer.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent, no integer, or outside the type's range.
    pub fn u32(&self, key: &str) -> Result<u32> {
        self.typed(key, "integer of 32 bits", |value| u32::try_from(value.as_u64()?).ok())
    }

    /// A float.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent or no float.
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.typed(key, "float", Value::as_f32)
    }

    /// A flag.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent or no flag.
    pub fn bool(&self, key: &str) -> Result<bool> {
        self.typed(key, "flag", Value::as_bool)
    }

    /// A text.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent or no text.
    pub fn str(&self, key: &str) -> Result<&str> {
        self.typed(key, "text", Value::as_str)
    }

    /// An array of texts.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent or something else.
    pub fn strings(&self, key: &str) -> Result<Vec<&str>> {
        self.typed(key, "array of texts", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    /// An array of integers.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent or something else.
    pub fn i64s(&self, key: &str) -> Result<Vec<i64>> {
        self.typed(key, "array of integers", |value| value.as_array()?.iter().map(Value::as_i64).collect())
    }

    /// An array of floats.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where it is absent or something else.
    pub fn f32s(&self, key: &str) -> Result<Vec<f32>> {
        self.typed(key, "array of floats", |value| value.as_array()?.iter().map(Value::as_f32).collect())
    }

    /// A tensor.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where the file has none with this name.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        Ok(self.view(&self.tensors[self.index(name)?]))
    }

    /// A tensor of a known shape.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where the file has none with this name, or it is of another shape.
    #[allow(dead_code, reason = "backends use it, each of which is a feature")]
    pub(crate) fn tensor_of(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        let tensor = self.tensor(name)?;
        if tensor.shape == shape {
            Ok(tensor)
        } else {
            Err(self.corrupt(format!("tensor {name} has shape {:?}: {shape:?} expected", tensor.shape)))
        }
    }

    /// A tensor that keeps its file open.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where the file has none with this name.
    pub fn shared_tensor(self: &Arc<Self>, name: &str) -> Result<SharedTensor> {
        Ok(SharedTensor { index: self.index(name)?, file: self.clone() })
    }

    /// True if the file has a tensor with this name.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorView<'_>> {
        self.tensors.iter().map(|record| self.view(record))
    }

    /// Drops the metadata: a model that has read its vocabulary keeps only the tensors.
    pub fn forget_values(&mut self) {
        self.values = HashMap::new();
    }

    /// An error with the file's name in its context.
    pub(crate) fn corrupt(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::ModelCorrupt, format!("{}: {what}", self.file_name))
    }

    /// An error with the file's name in its context.
    #[allow(dead_code, reason = "backends use it, each of which is a feature")]
    pub(crate) fn unsupported(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::ModelUnsupported, format!("{}: {what}", self.file_name))
    }

    fn index(&self, name: &str) -> Result<usize> {
        self.by_name.get(name).copied().ok_or_else(|| self.corrupt(format!("tensor {name} is missing")))
    }

    fn typed<'a, T>(&'a self, key: &str, what: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T> {
        let value = self.value(key).ok_or_else(|| self.corrupt(format!("metadata value {key} is missing")))?;
        read(value).ok_or_else(|| self.corrupt(format!("metadata value {key} is no {what}")))
    }

    fn view<'a>(&'a self, record: &'a TensorRecord) -> TensorView<'a> {
        TensorView {
            name: &record.name,
            shape: &record.shape,
            dtype: record.dtype,
            data: &self.bytes[record.range.clone()],
        }
    }

    fn parse(bytes: FileBytes, file_name: String) -> Result<Self> {
        let parsed = Cursor::new(&bytes).file();
        let (values, tensors) = parsed.map_err(|error| named(&file_name, &error))?;
        let names = tensors.iter().enumerate().map(|(index, record)| (record.name.clone(), index));
        let by_name: HashMap<_, _> = names.collect();
        if by_name.len() < tensors.len() {
            return Err(corrupt(format!("{file_name}: tensor name occurs twice")));
        }
        Ok(Self { file_len: bytes.len(), bytes, file_name, values, tensors, by_name })
    }
}

/// A parser's error with the file's name.
fn named(file_name: &str, error: &Error) -> Error {
    Error::new(error.code(), format!("{file_name}: {}", error.detail()))
}

fn reader_len(source: &ModelSource, len: u64) -> Result<usize> {
    usize::try_from(len).map_err(|_| {
        Error::new(ErrorCode::OutOfMemory, format!("{}: {len} bytes do not fit into memory", source.file_name()))
    })
}

impl TensorView<'_> {
    /// The elements as floats, row major.
    ///
    /// # Errors
    /// [`ErrorCode::OutOfMemory`].
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let len = self.shape.iter().product();
        let mut values = Vec::new();
        values.try_reserve_exact(len).map_err(|error| Error::from(ErrorCode::OutOfMemory).with_source(error))?;
        values.resize(len, 0.0);
        dequant::dequantize(self.dtype, self.data, &mut values);
        Ok(values)
    }
}

#[derive(Debug)]
struct TensorRecord {
    name: String,
    shape: Vec<usize>,
    dtype: GgmlType,
    /// Where its data lies in the file.
    range: Range<usize>,
}

impl<'a> Cursor<'a> {
    fn file(mut self) -> Result<(HashMap<String, Value>, Vec<TensorRecord>)> {
        if self.array()? != MAGIC {
            return Err(corrupt("not a GGUF file"));
        }
        match u32::from_le_bytes(self.array()?) {
            2 | 3 => {}
            version => return Err(unsupported(format!("unsupported GGUF version {version}: 2 or 3 expected"))),
        }
        let tensor_count = self.u64()?;
        let value_count = self.u64()?;
        let values = self.values(value_count)?;
        let mut tensors = self.tensors(tensor_count)?;
        let alignment = match values.get(ALIGNMENT_KEY) {
            None => DEFAULT_ALIGNMENT,
            Some(value) => value
                .as_u64()
                .and_then(|alignment| usize::try_from(alignment).ok())
                .filter(|alignment| alignment.is_power_of_two() && (8..=1 << 20).contains(alignment))
                .ok_or_else(|| corrupt("alignment is out of range: a power of two from 8 to 1 MiB expected"))?,
        };
        if !tensors.is_empty() {
            self.place(&mut tensors, alignment)?;
        }
        Ok((values, tensors))
    }

    fn values(&mut self, count: u64) -> Result<HashMap<String, Value>> {
        // A key's length, its type, and one byte of value at least.
        let count = self.count(count, 8 + 4 + 1)?;
        let mut values = HashMap::with_capacity(count);
        for _ in 0..count {
            let key = self.name()?;
            let type_id = self.u32()?;
            let value = self.value(type_id, 0)?;
            if values.insert(key, value).is_some() {
                return Err(corrupt("metadata key occurs twice"));
            }
        }
        Ok(values)
    }

    fn value(&mut self, type_id: u32, depth: usize) -> Result<Value> {
        Ok(match type_id {
            0 => Value::U8(u8::from_le_bytes(self.array()?)),
            1 => Value::I8(i8::from_le_bytes(self.array()?)),
            2 => Value::U16(u16::from_le_bytes(self.array()?)),
            3 => Value::I16(i16::from_le_bytes(self.array()?)),
            4 => Value::U32(u32::from_le_bytes(self.array()?)),
            5 => Value::I32(i32::from_le_bytes(self.array()?)),
            6 => Value::F32(f32::from_le_bytes(self.array()?)),
            7 => match self.array::<1>()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(corrupt("metadata flag is out of range: 0 or 1 expected")),
            },
            8 => Value::String(self.string()?.to_owned()),
            9 if depth < ARRAY_DEPTH_MAX => {
                let element_type = self.u32()?;
                let count = self.u64()?;
                let count = self.count(count, element_bytes_min(element_type)?)?;
                let mut values = Vec::with_capacity(count);
                for _ in 0..count {
                    values.push(self.value(element_type, depth + 1)?);
                }
                Value::Array(values)
            }
            9 => return Err(corrupt("metadata arrays are nested too deeply")),
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.array()?)),
            12 => Value::F64(f64::from_le_bytes(self.array()?)),
            _ => return Err(corrupt("metadata value has an unknown type")),
        })
    }

    fn tensors(&mut self, count: u64) -> Result<Vec<TensorRecord>> {
        // A name's length, the number of dimensions, the type and the offset.
        let count = self.count(count, 8 + 4 + 4 + 8)?;
        let mut tensors = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.name()?;
            let dimensions = self.u32()? as usize;
            if dimensions > DIMENSIONS_MAX {
                return Err(corrupt(format!("tensor {name} has more than {DIMENSIONS_MAX} dimensions")));
            }
            let mut shape = Vec::with_capacity(dimensions);
            for _ in 0..dimensions {
                let dim = usize::try_from(self.u64()?).ok().filter(|&dim| dim > 0);
                shape.push(dim.ok_or_else(|| corrupt(format!("tensor {name} has a dimension out of range")))?);
            }
            shape.reverse();
            let type_id = self.u32()?;
            let dtype = GgmlType::from_id(type_id)
                .ok_or_else(|| unsupported(format!("tensor {name} has an unsupported ggml type: {type_id}")))?;
            let len = dtype
                .tensor_bytes(&shape)
                .ok_or_else(|| corrupt(format!("tensor {name} has no whole number of blocks, or too many")))?;
            let offset = usize::try_from(self.u64()?)
                .map_err(|_| truncated(format!("tensor {name} starts behind the file's end")))?;
            let end = offset
                .checked_add(len)
                .ok_or_else(|| truncated(format!("tensor {name} ends behind the file's end")))?;
            tensors.push(TensorRecord { name, shape, dtype, range: offset..end });
        }
        Ok(tensors)
    }

    /// Turns offsets into the data section into offsets into the file.
    fn place(&self, tensors: &mut [TensorRecord], alignment: usize) -> Result<()> {
        let data_start = self.at.next_multiple_of(alignment);
        for TensorRecord { name, range, .. } in tensors {
            if !range.start.is_multiple_of(alignment) {
                return Err(corrupt(format!("tensor {name} is not aligned")));
            }
            let end = range.end.checked_add(data_start).filter(|&end| end <= self.file_len);
            let end = end.ok_or_else(|| truncated(format!("tensor {name} ends behind the file's end")))?;
            *range = data_start + range.start..end;
        }
        Ok(())
    }

    /// A count of things that take `bytes_min` bytes each at least, once they can all be in the rest of the file.
    fn count(&self, count: u64, bytes_min: usize) -> Result<usize> {
        let room = (self.bytes.len() - self.at) / bytes_min;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= room)
            .ok_or_else(|| truncated("model file is truncated: a count is larger than its rest can hold"))
    }

    fn name(&mut self) -> Result<String> {
        let name = self.string()?;
        if name.len() > NAME_BYTES_MAX {
            Err(corrupt(format!("name is too long: {NAME_BYTES_MAX} bytes at most expected")))
        } else {
            Ok(name.to_owned())
        }
    }

    fn string(&mut self) -> Result<&'a str> {
        let len = self.u64()?;
        let len = self.count(len, 1)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| corrupt("text is not UTF-8"))
    }
}

/// The fewest bytes that an array's element can take in the file.
fn element_bytes_min(type_id: u32) -> Result<usize> {
    Ok(match type_id {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        9 => 4 + 8,
        _ => return Err(corrupt("metadata array has an unknown type")),
    })
}

fn corrupt(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelCorrupt, what)
}

fn truncated(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelTruncated, what)
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelUnsupported, what)
}
