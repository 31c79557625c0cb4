//! GGUF files: what is written can be read, types mean what ggml says, and no damaged file does harm.

use serde_json::Value;
use tertulia::ErrorCode;
use tertulia_models::gguf::{GgmlType, Gguf, GgufWriter, dequantize, quant};

fn sample() -> Vec<u8> {
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "sample").set("sample.count", 7u32).set("sample.rate", 0.5f32);
    writer.set("sample.words", vec!["uno", "dos", "ñandú"]).set("sample.flag", true).set("sample.ids", vec![-1i32, 5]);
    writer.tensor("a", &[2, 3], GgmlType::F32, quant::encode_f32(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).unwrap();
    writer.tensor("b", &[1, 32], GgmlType::Q8_0, quant::encode_q8_0(&[1.0; 32]).unwrap()).unwrap();
    writer.to_bytes().unwrap()
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.gguf");
    std::fs::write(&path, sample()).unwrap();
    for file in [Gguf::open(&path).unwrap(), Gguf::from_bytes(sample()).unwrap()] {
        assert_eq!(file.str("general.architecture").unwrap(), "sample");
        assert_eq!((file.u32("sample.count").unwrap(), file.f32("sample.rate").unwrap()), (7, 0.5));
        assert_eq!(file.strings("sample.words").unwrap(), ["uno", "dos", "ñandú"]);
        assert_eq!(file.i64s("sample.ids").unwrap(), [-1, 5]);
        assert_eq!(file.tensor("a").unwrap().shape, [2, 3]);
        assert_eq!(file.tensor("a").unwrap().to_f32().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(file.tensor("b").unwrap().to_f32().unwrap().iter().all(|value| (value - 1.0).abs() < 1e-3));
        assert_eq!(file.u32("sample.rate").unwrap_err().code(), ErrorCode::ModelCorrupt);
        assert_eq!(file.tensor("c").unwrap_err().code(), ErrorCode::ModelCorrupt);
    }
    assert_eq!(Gguf::open(&folder.path().join("none.gguf")).unwrap_err().code(), ErrorCode::ModelMissing);
}

#[test]
fn every_truncation_is_noticed() {
    let whole = sample();
    // The last tensor's 34 bytes are padded to 64.
    for len in 0..whole.len() - 30 {
        let error = Gguf::from_bytes(whole[..len].to_vec()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ModelTruncated, "{len} of {} bytes", whole.len());
    }
}

#[test]
fn flipped_bits_and_huge_counts_do_no_harm() {
    let whole = sample();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(file) = Gguf::from_bytes(bytes) {
            for tensor in file.tensors() {
                tensor.to_f32().unwrap();
            }
        }
    }
    for at in 0..whole.len() - 8 {
        let mut bytes = whole.clone();
        bytes[at..at + 8].fill(0xff);
        let _ = Gguf::from_bytes(bytes);
    }
    let mut bytes = whole;
    bytes[0] = b'X';
    assert_eq!(Gguf::from_bytes(bytes).unwrap_err().code(), ErrorCode::ModelCorrupt);
}

#[test]
fn quantised_types_mean_what_ggml_says() {
    let golden: Value = serde_json::from_str(include_str!("golden/gguf_dequant.json")).unwrap();
    let types = [
        ("Q4_0", GgmlType::Q4_0),
        ("Q4_1", GgmlType::Q4_1),
        ("Q5_0", GgmlType::Q5_0),
        ("Q8_0", GgmlType::Q8_0),
        ("Q4_K", GgmlType::Q4K),
        ("Q5_K", GgmlType::Q5K),
        ("Q6_K", GgmlType::Q6K),
    ];
    for (name, dtype) in types {
        let numbers = |key: &str| golden[name][key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
        let bytes: Vec<u8> = numbers("bytes").map(|byte| byte as u8).collect();
        let expected: Vec<f32> = numbers("values").map(|value| value as f32).collect();
        let mut values = vec![0.0; expected.len()];
        dequantize(dtype, &bytes, &mut values);
        for (value, expected) in values.iter().zip(&expected) {
            assert!((value - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{name}: {value}, not {expected}");
        }
    }
}
