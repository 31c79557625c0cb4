//! Dispatch from a [`Conversion`] to its converter.

use super::{Conversion, ModelEntry};
use crate::{kokoro, silero, smart_turn, whisper};
use std::path::Path;
use tertulia::Result;

/// Makes the GGUF file `output` from the entry's files in `folder`, which go by the names that the manifest gives them.
pub(super) fn convert(entry: &ModelEntry, folder: &Path, output: &Path) -> Result<()> {
    let file = |name: &str| folder.join(name);
    let named = |suffix: &'static str| {
        entry.files.iter().filter_map(move |file| Some((file.name.strip_suffix(suffix)?, &file.name)))
    };
    // A manifest may name its ONNX file as it likes; a missing one is reported by the converter.
    let onnx = || file(named(".onnx").next().map_or("model.onnx", |(_, name)| name));
    match entry.conversion {
        Conversion::None => {
            let upstream = file(&entry.files[0].name);
            std::fs::rename(&upstream, output).map_err(super::disk::failed(output))
        }
        Conversion::SileroOnnx => silero::convert_onnx(&onnx(), output),
        Conversion::SmartTurnOnnx => smart_turn::convert_onnx(&onnx(), output),
        Conversion::WhisperCt2 => {
            whisper::ct2::convert_ct2(&file("model.bin"), &file("tokenizer.json"), &file("config.json"), output)
        }
        Conversion::KokoroOnnx => {
            let voices: Vec<_> = named(".bin").map(|(voice, name)| (voice, file(name))).collect();
            // A voice for other languages needs no English words.
            let english = entry.files.iter().any(|file| file.name == "us_gold.json").then_some(folder);
            kokoro::convert_onnx(&onnx(), &file("vocab.json"), &voices, english, output)
        }
    }
}
