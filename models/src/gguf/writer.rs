//! [`GgufWriter`]: writes a file whole or not at all.

use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, DIMENSIONS_MAX, GgmlType, MAGIC, Value};
use crate::platform;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

const VERSION: u32 = 3;

/// Collects metadata and tensors, and writes them as one file.
#[derive(Debug, Default)]
pub struct GgufWriter {
    values: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

#[derive(Debug)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: GgmlType,
    data: Vec<u8>,
}

impl GgufWriter {
    /// A writer with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value of the metadata; a value set before under the same key goes.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        let key = key.into();
        self.values.retain(|(other, _)| *other != key);
        self.values.push((key, value.into()));
        self
    }

    /// Adds a tensor. `shape` is row major, the outermost dimension first; `data` holds the stored elements.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where the name is taken, the shape has more than four dimensions or one of
    /// length 0, or the data is not as long as shape and type ask for.
    pub fn tensor(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        dtype: GgmlType,
        data: Vec<u8>,
    ) -> Result<&mut Self> {
        let name = name.into();
        let invalid = |what: &str| Err(Error::new(ErrorCode::InvalidArgument, format!("tensor {name}: {what}")));
        if self.tensors.iter().any(|tensor| tensor.name == name) {
            return invalid("name is taken");
        }
        if shape.len() > DIMENSIONS_MAX || shape.contains(&0) {
            return invalid("shape is out of range");
        }
        if dtype.tensor_bytes(shape) != Some(data.len()) {
            return invalid("data does not fit shape and type");
        }
        self.tensors.push(Tensor { name, shape: shape.to_vec(), dtype, data });
        Ok(self)
    }

    /// Writes the file: into a temporary one beside it, synced to disk, then renamed.
    ///
    /// # Errors
    /// [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`]; [`ErrorCode::InvalidArgument`] for an array
    /// whose values differ in type. The temporary file is gone then.
    pub fn write(&self, path: &Path) -> Result<()> {
        let head = self.head()?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.part", std::process::id()));
        let temporary = Path::new(&temporary);
        let written = self.write_all(&head, temporary).and_then(|()| {
            std::fs::rename(temporary, path)?;
            platform::sync_folder(path)
        });
        written.map_err(|error| {
            let _ = std::fs::remove_file(temporary);
            let code = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::ModelDiskFull,
                _ => ErrorCode::ModelStoreFailed,
            };
            Error::new(code, format!("model file cannot be written: {}", path.display())).with_source(error)
        })
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for an array whose values differ in type.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = self.head()?;
        for tensor in &self.tensors {
            bytes.extend(&tensor.data);
            bytes.resize(bytes.len().next_multiple_of(self.alignment()), 0);
        }
        Ok(bytes)
    }

    fn write_all(&self, head: &[u8], path: &Path) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(head)?;
        for tensor in &self.tensors {
            file.write_all(&tensor.data)?;
            let padding = tensor.data.len().next_multiple_of(self.alignment()) - tensor.data.len();
            file.write_all(&vec![0; padding])?;
        }
        file.into_inner()?.sync_all()
    }

    /// Everything before the tensors' data, padded to the alignment.
    fn head(&self) -> Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.values.len() as u64).to_le_bytes());
        for (key, value) in &self.values {
            put_string(&mut bytes, key);
            bytes.extend(value.type_id().to_le_bytes());
            put_value(&mut bytes, value)
                .map_err(|()| Error::new(ErrorCode::InvalidArgument, format!("{key}: values of different types")))?;
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_string(&mut bytes, &tensor.name);
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            for &dim in tensor.shape.iter().rev() {
                bytes.extend((dim as u64).to_le_bytes());
            }
            bytes.extend(tensor.dtype.id().to_le_bytes());
            bytes.extend((offset as u64).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(self.alignment());
        }
        bytes.resize(bytes.len().next_multiple_of(self.alignment()), 0);
        Ok(bytes)
    }

    fn alignment(&self) -> usize {
        let set = self.values.iter().find(|(key, _)| key == ALIGNMENT_KEY).and_then(|(_, value)| value.as_u64());
        set.map_or(DEFAULT_ALIGNMENT, |alignment| (alignment as usize).max(1))
    }
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn put_value(bytes: &mut Vec<u8>, value: &Value) -> Result<(), ()> {
    match value {
        Value::U8(value) => bytes.push(*value),
        Value::I8(value) => bytes.extend(value.to_le_bytes()),
        Value::U16(value) => bytes.extend(value.to_le_bytes()),
        Value::I16(value) => bytes.extend(value.to_le_bytes()),
        Value::U32(value) => bytes.extend(value.to_le_bytes()),
        Value::I32(value) => bytes.extend(value.to_le_bytes()),
        Value::F32(value) => bytes.extend(value.to_le_bytes()),
        Value::Bool(value) => bytes.push(u8::from(*value)),
        Value::String(text) => put_string(bytes, text),
        Value::U64(value) => bytes.extend(value.to_le_bytes()),
        Value::I64(value) => bytes.extend(value.to_le_bytes()),
        Value::F64(value) => bytes.extend(value.to_le_bytes()),
        Value::Array(values) => {
            let type_id = values.first().map_or(0, Value::type_id);
            bytes.extend(type_id.to_le_bytes());
            bytes.extend((values.len() as u64).to_le_bytes());
            for value in values {
                if value.type_id() != type_id {
                    return Err(());
                }
                put_value(bytes, value)?;
            }
        }
    }
    Ok(())
}
