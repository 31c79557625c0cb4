//! Each model gives the same from a path, from bytes in memory and from a reader of the host's.

#[path = "common/chat.rs"]
mod chat;
#[path = "common/models.rs"]
mod models;

use models::model_path;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tertulia::backend::{
    ChatModel, ChatRequest, DetectionRequest, Message, Model, RecognitionRequest, Recognizer, Role, SynthesisRequest,
    Synthesizer, TurnDetector, VadModel, block_on, run_steps,
};
use tertulia::{Error, ErrorCode, Result};
use tertulia_models::chat::GgufChat;
use tertulia_models::kokoro::Kokoro;
use tertulia_models::silero::SileroVad;
use tertulia_models::smart_turn::SmartTurn;
use tertulia_models::whisper::Whisper;
use tertulia_models::{ModelReader, ModelSource};

/// Reads a file at offsets and counts the bytes.
struct FileReader {
    file: Mutex<File>,
    read: Arc<AtomicU64>,
}

impl ModelReader for FileReader {
    fn byte_len(&self) -> Result<u64> {
        Ok(self.file.lock().unwrap().metadata().unwrap().len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        assert!(buffer.len() <= 1 << 20);
        let mut file = self.file.lock().unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.read_exact(buffer).unwrap();
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn reader(path: &Path) -> (ModelSource, Arc<AtomicU64>) {
    let read = Arc::new(AtomicU64::new(0));
    let reader = FileReader { file: Mutex::new(File::open(path).unwrap()), read: read.clone() };
    (ModelSource::reader(path.file_stem().unwrap().to_str().unwrap(), reader), read)
}

/// The three sources of a model of the manifest.
fn sources(name: &str) -> [ModelSource; 3] {
    let path = model_path(name);
    let bytes = ModelSource::bytes(name, std::fs::read(&path).unwrap());
    [path.as_path().into(), bytes, reader(&path).0]
}

/// What `run` gives for each source, which must be the same.
fn same<T: PartialEq + std::fmt::Debug>(name: &str, run: impl Fn(ModelSource) -> T) -> T {
    let [first, bytes, reader] = sources(name).map(run);
    assert_eq!(first, bytes, "{name} from bytes");
    assert_eq!(first, reader, "{name} from a reader");
    first
}

/// One second with something in it.
fn audio() -> Vec<f32> {
    (0..16_000).map(|i| (i as f32 * 0.05).sin() * (i as f32 * 0.0007).sin() * 0.3).collect()
}

#[test]
fn silero() {
    let probabilities = same("silero-vad-v6", |source| {
        let mut vad = SileroVad::new(source).open().unwrap();
        audio().chunks_exact(512).map(|frame| vad.process(frame).unwrap().to_bits()).collect::<Vec<_>>()
    });
    assert_eq!(probabilities.len(), 31);
}

#[test]
fn smart_turn() {
    same("smart-turn-v3.2", |source| {
        block_on(SmartTurn::new(source).probability_finished(DetectionRequest::new(audio()))).unwrap().to_bits()
    });
}

#[test]
fn whisper() {
    same("whisper-base", |source| {
        let whisper = Whisper::new(source, Default::default());
        assert_eq!(whisper.name(), "whisper-base");
        let request = RecognitionRequest::new(audio(), vec!["en".parse().unwrap()]);
        let mut steps = Vec::new();
        run_steps(whisper.recognize(request).unwrap(), |step| {
            steps.push(format!("{step:?}"));
            Ok(())
        })
        .unwrap();
        (whisper.languages(), steps)
    });
}

#[test]
fn chat_model() {
    let reply = same("smollm2-135m-instruct-q4_1", |source| {
        let model = GgufChat::new(source, Default::default(), Default::default());
        assert_eq!(model.name(), "smollm2-135m-instruct-q4_1");
        let mut request = ChatRequest::new(vec![Message::new(Role::User, "Say hello.")]);
        (request.sampling.temperature, request.sampling.max_tokens) = (0.0, 8);
        chat::finish(&mut *model.open_conversation().unwrap(), request).0
    });
    assert!(!reply.is_empty());
}

#[test]
fn kokoro() {
    let samples = same("kokoro-82m", |source| {
        let kokoro = Kokoro::new(source, Default::default());
        assert!(kokoro.voices().len() > 10);
        let mut samples = Vec::new();
        let request = SynthesisRequest::new("Hola.", vec!["es".parse().unwrap()]);
        run_steps(kokoro.synthesize(request).unwrap(), |chunk| {
            samples.extend(chunk.samples.iter().map(|sample| sample.to_bits()));
            Ok(())
        })
        .unwrap();
        samples
    });
    assert!(samples.len() > 5_000);
}

#[test]
fn metadata_are_read_without_the_weights() {
    let path = model_path("kokoro-82m");
    let (source, read) = reader(&path);
    let kokoro = Kokoro::new(source, Default::default());
    kokoro.check().unwrap();
    assert!(!kokoro.voices().is_empty() && !kokoro.is_loaded());
    assert!(read.load(Ordering::Relaxed) <= 1 << 20, "{} bytes", read.load(Ordering::Relaxed));
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(kokoro.memory_needed() > 2 * bytes, "the whole file counts");
}

/// A file that ends where it should not, or cannot be read.
struct Broken(Result<Vec<u8>, ErrorCode>);

impl ModelReader for Broken {
    fn byte_len(&self) -> Result<u64> {
        self.0.as_ref().map(|bytes| bytes.len() as u64).map_err(|&code| code.into())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = self.0.as_ref().map_err(|&code| Error::from(code))?;
        buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
        Ok(())
    }
}

#[test]
fn a_readers_errors_and_a_cut_file_keep_their_codes() {
    let whole = std::fs::read(model_path("silero-vad-v6")).unwrap();
    for (content, code) in [
        (Err(ErrorCode::ModelMissing), ErrorCode::ModelMissing),
        (Err(ErrorCode::ModelLoadFailed), ErrorCode::ModelLoadFailed),
        (Ok(whole[..whole.len() / 2].to_vec()), ErrorCode::ModelTruncated),
        (Ok(whole[..100].to_vec()), ErrorCode::ModelTruncated),
        (Ok(Vec::new()), ErrorCode::ModelTruncated),
    ] {
        let model = SileroVad::new(ModelSource::reader("silero", Broken(content.clone())));
        assert_eq!(model.check().unwrap_err().code(), code);
        assert_eq!(block_on(model.load(&mut |_| {})).unwrap_err().code(), code);
        if let Ok(bytes) = content {
            let model = SileroVad::new(ModelSource::bytes("silero", bytes));
            assert_eq!(model.check().unwrap_err().code(), code);
        }
    }
}
