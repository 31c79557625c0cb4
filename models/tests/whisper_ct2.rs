//! The converter takes sound CTranslate2 files of any shape, and says what is wrong with the others.

#[path = "common/whisper.rs"]
mod common;

use common::{golden, recognize, request};
use std::path::{Path, PathBuf};
use tertulia::ErrorCode;
use tertulia::backend::{Model, Recognizer, block_on};
use tertulia_models::whisper::Whisper;
use tertulia_models::whisper::ct2::convert_ct2;

const WIDTH: u32 = 64;
const BINS: u32 = 128;
/// 256 bytes, the special tokens, 1501 times.
const TEXT_TOKENS: u32 = 256;

struct Variable {
    name: String,
    dims: Vec<u32>,
    dtype: u8,
    data: Vec<u8>,
}

fn f16(name: impl Into<String>, dims: &[u32]) -> Variable {
    let count: u32 = dims.iter().product();
    // Small, repeatable, of both signs.
    let value = |i: u32| half::f16::from_f32(((i * 37 + 11) % 101) as f32 / 500.0 - 0.1);
    Variable {
        name: name.into(),
        dims: dims.to_vec(),
        dtype: 4,
        data: (0..count).flat_map(|i| value(i).to_le_bytes()).collect(),
    }
}

fn special_tokens() -> Vec<String> {
    ["endoftext", "startoftranscript", "en", "es", "translate", "transcribe", "startoflm", "startofprev", "nospeech"]
        .into_iter()
        .chain(["notimestamps"])
        .map(|name| format!("<|{name}|>"))
        .collect()
}

fn tokens() -> u32 {
    TEXT_TOKENS + special_tokens().len() as u32 + 1501
}

/// A tiny Whisper with large-v3's 128 bins: one layer each side, two heads.
fn variables() -> Vec<Variable> {
    let mut all = vec![
        f16("encoder/conv1/weight", &[WIDTH, BINS, 3]),
        f16("encoder/conv1/bias", &[WIDTH]),
        f16("encoder/conv2/weight", &[WIDTH, WIDTH, 3]),
        f16("encoder/conv2/bias", &[WIDTH]),
        f16("encoder/position_encodings/encodings", &[1500, WIDTH]),
        f16("decoder/position_encodings/encodings", &[448, WIDTH]),
        f16("decoder/embeddings/weight", &[tokens(), WIDTH]),
    ];
    let mut pair = |name: String, dims: &[u32], norm: bool| {
        let (weight, bias) = if norm { ("gamma", "beta") } else { ("weight", "bias") };
        all.push(f16(format!("{name}/{weight}"), dims));
        all.push(f16(format!("{name}/{bias}"), &dims[..1]));
    };
    for side in ["encoder", "decoder"] {
        let layer = format!("{side}/layer_0");
        pair(format!("{side}/layer_norm"), &[WIDTH], true);
        pair(format!("{layer}/self_attention/layer_norm"), &[WIDTH], true);
        pair(format!("{layer}/self_attention/linear_0"), &[3 * WIDTH, WIDTH], false);
        pair(format!("{layer}/self_attention/linear_1"), &[WIDTH, WIDTH], false);
        pair(format!("{layer}/ffn/layer_norm"), &[WIDTH], true);
        pair(format!("{layer}/ffn/linear_0"), &[4 * WIDTH, WIDTH], false);
        pair(format!("{layer}/ffn/linear_1"), &[WIDTH, 4 * WIDTH], false);
    }
    pair("decoder/layer_0/attention/layer_norm".into(), &[WIDTH], true);
    pair("decoder/layer_0/attention/linear_0".into(), &[WIDTH, WIDTH], false);
    pair("decoder/layer_0/attention/linear_1".into(), &[2 * WIDTH, WIDTH], false);
    pair("decoder/layer_0/attention/linear_2".into(), &[WIDTH, WIDTH], false);
    for side in ["encoder", "decoder"] {
        all.push(Variable { name: format!("{side}/num_heads"), dims: vec![], dtype: 2, data: vec![2, 0] });
    }
    all
}

fn model_bin(variables: &[Variable]) -> Vec<u8> {
    let mut bytes = 6u32.to_le_bytes().to_vec();
    let name = |bytes: &mut Vec<u8>, name: &str| {
        bytes.extend((name.len() as u16 + 1).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.push(0);
    };
    name(&mut bytes, "WhisperSpec");
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((variables.len() as u32).to_le_bytes());
    for variable in variables {
        name(&mut bytes, &variable.name);
        bytes.push(variable.dims.len() as u8);
        variable.dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
        bytes.push(variable.dtype);
        bytes.extend((variable.data.len() as u32).to_le_bytes());
        bytes.extend(&variable.data);
    }
    bytes.extend(1u32.to_le_bytes());
    name(&mut bytes, "decoder/projection/weight");
    name(&mut bytes, "decoder/embeddings/weight");
    bytes
}

fn tokenizer_json() -> String {
    let spelled = |byte: u32| match byte as u8 {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte as u8),
        // The spelling's stand-ins: 256 and on, for the other bytes in order.
        other => {
            let before = (0..other).filter(|b| !matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)).count();
            char::from_u32(256 + before as u32).unwrap()
        }
    };
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        (0..TEXT_TOKENS).map(|byte| (spelled(byte).to_string(), byte.into())).collect();
    let special: Vec<_> = special_tokens()
        .iter()
        .enumerate()
        .map(|(i, content)| serde_json::json!({"id": TEXT_TOKENS + i as u32, "content": content}))
        .collect();
    serde_json::json!({"model": {"vocab": vocabulary}, "added_tokens": special}).to_string()
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(model: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.bin"), model).unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), tokenizer_json()).unwrap();
        let config = r#"{"suppress_ids": [1, 2], "suppress_ids_begin": [220, 256], "alignment_heads": [[0, 1]]}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn convert(&self) -> tertulia::Result<PathBuf> {
        let out = self.path("out.gguf");
        convert_ct2(&self.path("model.bin"), &self.path("tokenizer.json"), &self.path("config.json"), &out)?;
        Ok(out)
    }

    fn code(&self) -> Option<ErrorCode> {
        let code = self.convert().err().map(|error| error.code());
        assert!(code.is_none() || !Path::new(&self.path("out.gguf")).exists(), "a file was left behind");
        code
    }
}

#[test]
fn a_model_with_128_bins_converts_loads_and_runs() {
    let whisper = Whisper::new(Files::new(&model_bin(&variables())).convert_and_keep(), Default::default());
    block_on(whisper.load(&mut |_| {})).unwrap();
    assert_eq!(whisper.languages(), ["en".parse().unwrap(), "es".parse().unwrap()]);

    let golden = golden("whisper_mel.json");
    let chirp: Vec<f32> = {
        use std::f64::consts::PI;
        let sample = |i: usize| {
            let t = i as f64 / 16_000.0;
            let swell = 0.4 * (PI * t).sin().powi(2);
            (swell * (2.0 * PI * (200.0 + 1500.0 * t) * t).sin() + 0.05 * (2.0 * PI * 50.0 * t).sin()) as f32
        };
        (0..16_000).map(sample).collect()
    };
    let mel = whisper.inspect().unwrap().log_mel(&chirp);
    let frames = golden["frames"].as_array().unwrap().iter().map(|f| f.as_u64().unwrap() as usize);
    let ours = frames.flat_map(|f| mel.iter().skip(f).step_by(3000).copied().collect::<Vec<_>>());
    let theirs = golden["mel"]["128"].as_array().unwrap();
    assert_eq!(theirs.len(), 9 * 128);
    for (ours, theirs) in ours.zip(theirs) {
        assert!((f64::from(ours) - theirs.as_f64().unwrap()).abs() < 2e-4);
    }

    // Its weights mean nothing, so neither does its text; but it comes to an end, and says nothing special.
    let mut request = request(chirp, &["en", "es"]);
    request.word_times = true;
    let (transcript, _) = recognize(&whisper, request);
    assert!(!transcript.text.contains("<|"));
}

impl Files {
    /// The converted file, which outlives the others.
    fn convert_and_keep(self) -> PathBuf {
        let out = self.convert().unwrap();
        let kept = std::env::temp_dir().join(format!("tertulia-whisper-ct2-{}.gguf", std::process::id()));
        std::fs::copy(out, &kept).unwrap();
        kept
    }
}

#[test]
fn every_conversion_error_has_its_code() {
    let sound = model_bin(&variables());
    assert_eq!(Files::new(&sound).code(), None);
    for cut in [3, 20, 60, sound.len() / 2, sound.len() - 1] {
        assert_eq!(Files::new(&sound[..cut]).code(), Some(ErrorCode::ModelTruncated), "cut at {cut}");
    }
    let mut version = sound.clone();
    version[0] = 9;
    assert_eq!(Files::new(&version).code(), Some(ErrorCode::ModelUnsupported));
    let mut spec = sound.clone();
    spec[6] = b'X';
    assert_eq!(Files::new(&spec).code(), Some(ErrorCode::ModelUnsupported));

    let changed = |change: &dyn Fn(&mut Vec<Variable>)| {
        let mut variables = variables();
        change(&mut variables);
        Files::new(&model_bin(&variables)).code()
    };
    assert_eq!(changed(&|v| v[0].dims[2] = 5), Some(ErrorCode::ModelCorrupt), "a shape that its bytes do not fill");
    assert_eq!(changed(&|v| v[1].dtype = 9), Some(ErrorCode::ModelCorrupt), "a type that does not exist");
    assert_eq!(changed(&|v| v[3] = f16("encoder/conv2/bias", &[7])), Some(ErrorCode::ModelCorrupt), "another shape");
    assert_eq!(changed(&|v| v[0].dims = vec![u32::MAX; 4]), Some(ErrorCode::ModelCorrupt), "a product that overflows");
    let quantised = |v: &mut Vec<Variable>| {
        v[3].dtype = 1;
        v[3].data.truncate(WIDTH as usize);
    };
    assert_eq!(changed(&quantised), Some(ErrorCode::ModelUnsupported), "whole numbers for weights");
    let heads = |v: &mut Vec<Variable>| v.last_mut().unwrap().data = vec![0, 0];
    assert_eq!(changed(&heads), Some(ErrorCode::ModelCorrupt), "no heads");

    let files = Files::new(&sound);
    std::fs::write(files.path("tokenizer.json"), b"{").unwrap();
    assert_eq!(files.code(), Some(ErrorCode::ModelCorrupt));
    std::fs::remove_file(files.path("config.json")).unwrap();
    std::fs::write(files.path("tokenizer.json"), tokenizer_json()).unwrap();
    assert_eq!(files.code(), Some(ErrorCode::ModelMissing));
}
