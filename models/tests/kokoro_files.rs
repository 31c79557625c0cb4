//! Files that are no voice give a typed error and no panic.

use std::path::Path;
use tertulia::backend::{Model, block_on};
use tertulia::{Error, ErrorCode};
use tertulia_models::gguf::{GgmlType, GgufWriter, Value, quant};
use tertulia_models::kokoro::{Kokoro, convert_onnx};

fn open(path: &Path) -> Result<Kokoro, Error> {
    let kokoro = Kokoro::new(path, Default::default());
    kokoro.check().map(|()| kokoro)
}

#[test]
fn a_missing_and_a_foreign_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.gguf");
    assert_eq!(open(&path).err().map(|e| e.code()), Some(ErrorCode::ModelMissing));
    GgufWriter::new().set("general.architecture", "whisper").write(&path).unwrap();
    assert_eq!(open(&path).err().map(|e| e.code()), Some(ErrorCode::ModelUnsupported));
    std::fs::write(&path, b"GGUF").unwrap();
    assert_eq!(open(&path).err().map(|e| e.code()), Some(ErrorCode::ModelTruncated));
}

#[test]
fn a_wrong_shape_and_a_wrong_symbol_are_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.gguf");
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "kokoro");
    writer.set("kokoro.vocab.symbols", Value::Array(vec![Value::from("a")]));
    writer.set("kokoro.vocab.ids", Value::Array(vec![Value::from(43u32)]));
    writer.set("kokoro.voices", Value::Array(vec![Value::from("af_heart")]));
    writer
        .tensor("bert.embeddings.token_type_embeddings.weight", &[1], GgmlType::F32, quant::encode_f32(&[0.0]))
        .unwrap();
    writer.write(&path).unwrap();
    let loaded = block_on(open(&path).unwrap().load(&mut |_| {}));
    assert_eq!(loaded.err().map(|e| e.code()), Some(ErrorCode::ModelCorrupt));
    writer.set("kokoro.vocab.ids", Value::Array(vec![Value::from(178u32)])).write(&path).unwrap();
    assert_eq!(open(&path).err().map(|e| e.code()), Some(ErrorCode::ModelCorrupt));
}

#[test]
fn the_converter_names_what_is_wrong_with_its_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (empty, vocab) = (file("empty.onnx", b""), file("vocab.json", br#"{"vocab": {"a": 43}}"#));
    let out = folder.path().join("out.gguf");
    let none: [(&str, &Path); 0] = [];
    let convert = |onnx: &Path, vocab: &Path| convert_onnx(onnx, vocab, &none, None, &out).err().map(|e| e.code());
    assert_eq!(convert(&empty, &vocab), Some(ErrorCode::ModelTruncated));
    assert_eq!(convert(&folder.path().join("absent"), &vocab), Some(ErrorCode::ModelMissing));
    assert_eq!(convert(&empty, &empty), Some(ErrorCode::ModelCorrupt));
    assert!(!out.exists());
}
