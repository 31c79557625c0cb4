import Foundation
import Tertulia

// Transcribes a file (webm, mp4, ogg, wav, mp3 or flac). usage: Transcribe MODEL_FOLDER FILE [LANGUAGE]
let arguments = CommandLine.arguments
guard arguments.count >= 3 else { fatalError("usage: Transcribe MODEL_FOLDER FILE [LANGUAGE]") }

let engine = try await TertuliaEngine.open(
    options: EngineOptions(modelFolder: arguments[1], models: ModelChoices(chat: "none", synthesizer: "none")))
let transcript = try await engine.transcribe(file: Data(contentsOf: URL(fileURLWithPath: arguments[2])), languages: Array(arguments.dropFirst(3)))
print(transcript.text)
for word in transcript.words { print("\(word.startMs)-\(word.endMs) ms: \(word.text)") }
try await engine.shutDown()
