@_exported import Foundation
@_exported import Tertulia

/// A recogniser that gives one text, or does what a closure does.
public struct ScriptedRecognizer: Recognizer {
    public typealias Body = @Sendable (RecognitionRequest, PartialTranscripts) async throws -> SpeechTranscript
    private let body: Body

    public init(_ body: @escaping Body) { self.body = body }
    public init(_ text: String) { self.init { _, _ in SpeechTranscript(text: text) } }

    public var info: RecognizerInfo { RecognizerInfo(name: "scripted-recognizer", languages: ["en", "es"]) }
    public func recognize(_ request: RecognitionRequest, partials: PartialTranscripts) async throws -> SpeechTranscript {
        try await body(request, partials)
    }
}

/// A chat model that gives parts of a text, or does what a closure does.
public struct ScriptedChat: ChatModel {
    public typealias Body = @Sendable (ChatRequest, (String) -> Void) async throws -> Void
    private let body: Body

    public init(_ body: @escaping Body) { self.body = body }
    public init(_ parts: String...) { self.init { _, push in parts.forEach(push) } }

    public var info: ChatModelInfo { ChatModelInfo(name: "scripted-chat", languages: ["en", "es"]) }
    public func reply(to request: ChatRequest) -> AsyncThrowingStream<String, any Error> {
        stream { push in try await body(request, push) }
    }
}

/// A synthesizer of 400 samples at 8,000 Hz for each UTF-16 unit, a chunk for each word, with word times.
public struct ScriptedVoice: Synthesizer {
    public typealias Hook = @Sendable (SynthesisRequest) async throws -> Void
    private let before: Hook

    /// The hook runs before each chunk.
    public init(before: @escaping Hook = { _ in }) { self.before = before }

    public var info: SynthesizerInfo { SynthesizerInfo(name: "scripted-voice", languages: ["en", "es"]) }
    public func synthesize(_ request: SynthesisRequest) -> AsyncThrowingStream<SpeechChunk, any Error> {
        stream { push in
            var start = 0
            for word in request.text.split(separator: " ", omittingEmptySubsequences: false) {
                try await before(request)
                let end = min(start + word.utf16.count + 1, request.text.utf16.count)
                let samples = (end - start) * 400
                let spoken = SpokenWord(
                    textRange: NSRange(location: start, length: word.utf16.count), language: "es", samples: 0..<UInt64(samples))
                push(SpeechChunk(
                    samples: [Float](repeating: 0.1, count: samples), rate: 8_000,
                    textRange: NSRange(location: start, length: end - start), words: word.isEmpty ? [] : [spoken]))
                start = end
            }
        }
    }
}

/// Finds speech by level.
public struct LevelVad: VadModel {
    public init() {}
    public var info: VadInfo { VadInfo(name: "level") }
    public func open() -> any Vad { Level() }

    private final class Level: Vad {
        func process(_ frame: UnsafeBufferPointer<Float>) -> Float { frame.contains { abs($0) > 0.2 } ? 1 : 0 }
        func reset() {}
    }
}

private func stream<T: Sendable>(_ body: @escaping @Sendable ((T) -> Void) async throws -> Void) -> AsyncThrowingStream<T, any Error> {
    AsyncThrowingStream { continuation in
        let task = Task {
            do {
                try await body { continuation.yield($0) }
                continuation.finish()
            } catch { continuation.finish(throwing: error) }
        }
        continuation.onTermination = { _ in task.cancel() }
    }
}

/// Waits until the task is cancelled, and throws that.
public func forever() async throws -> Never {
    while true { try await Task.sleep(for: .seconds(60)) }
}

/// Options without models of the library.
public func hostOptions(store: String? = nil) -> EngineOptions {
    EngineOptions(
        store: store, models: ModelChoices(vad: "none", turnDetector: "none", recognizer: "none", chat: "none", synthesizer: "none"))
}

/// Settings of a session whose audio counts as played when it was emitted.
public func config(playback: Playback = .assumed, listening: Listening = Listening()) -> SessionConfig {
    SessionConfig(native: "en", target: "es", playback: playback, listening: listening)
}

public let second = [Float](repeating: 0.1, count: 16_000)
