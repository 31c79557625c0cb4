import Foundation
import Tertulia

// A chat model and a voice of the host's: no model of the library is used.

/// Repeats what the user said, in two parts.
struct Parrot: ChatModel {
    var info: ChatModelInfo { ChatModelInfo(name: "parrot", languages: ["en", "es"]) }

    func reply(to request: ChatRequest) -> AsyncThrowingStream<String, any Error> {
        AsyncThrowingStream { parts in
            parts.yield("You said: ")
            parts.yield(request.messages.last?.content ?? "nothing")
            parts.finish()
        }
    }
}

/// Speaks by a tone, a tenth of a second for each UTF-16 unit.
struct Beep: Synthesizer {
    var info: SynthesizerInfo { SynthesizerInfo(name: "beep", languages: ["en", "es"]) }

    func synthesize(_ request: SynthesisRequest) -> AsyncThrowingStream<SpeechChunk, any Error> {
        AsyncThrowingStream { chunks in
            let length = request.text.utf16.count
            let tone = (0..<length * 800).map { sin(Float($0) * 0.35) * 0.3 }
            chunks.yield(SpeechChunk(samples: tone, rate: 8_000, textRange: NSRange(location: 0, length: length)))
            chunks.finish()
        }
    }
}

let none = ModelChoices(vad: "none", turnDetector: "none", recognizer: "none", chat: "none", synthesizer: "none")
let engine = try await TertuliaEngine.open(
    options: EngineOptions(models: none), backends: HostBackends(chat: Parrot(), synthesizer: Beep()))
let session = try await engine.createSession(SessionConfig(native: "en", target: "es", playback: .assumed))
try session.send("Hola, ¿qué tal?")
turn: for try await event in session.events {
    switch event.kind {
    case .replyAudioDelta(let audio): print("\(audio.pcm.count / 4) samples at \(audio.rate) Hz")
    case .turnFinished(let reply):
        print("tutor: \(reply)")
        break turn
    case .turnFailed(let stage, let error): fatalError("\(stage): \(error)")
    default: break
    }
}
try await engine.shutDown()
