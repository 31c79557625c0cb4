import Foundation
internal import TertuliaGenerated

/// The host's backends in the form of the library: a call begins a task and returns; the results go into a sink.

extension HostBackends {
    var generated: TertuliaGenerated.HostBackends {
        .init(
            vad: vad.map(VadAdapter.init), recognizer: recognizer.map(RecognizerAdapter.init), chat: chat.map(ChatAdapter.init),
            synthesizer: synthesizer.map(SynthesizerAdapter.init))
    }
}

/// Takes partial transcripts of one utterance.
public struct PartialTranscripts: Sendable {
    let sink: RecognitionSink

    /// A partial transcript, which replaces the one before; the part in `stable` will not change. Throws `cancelled` where no more is wanted.
    public func push(_ text: String, stable: NSRange = NSRange()) throws(TertuliaError) {
        let stableLen = text.byteSpan(stable)?.end ?? 0
        try call { try sink.pushPartial(text: text, stableLen: stableLen) }
    }
}

private protocol ResultSink: AnyObject, Sendable {
    func done() throws
    func fail(number: UInt16, detail: String) throws
    func setCancelHandler(handler: (any CancelHandler)?)
}

extension RecognitionSink: ResultSink {}
extension ChatSink: ResultSink {}
extension SpeechSink: ResultSink {}

/// Does the work of a request in a task, and cancels it where the results are not wanted any more.
private func answer(_ sink: any ResultSink, _ work: @escaping @Sendable () async throws -> Void) {
    sink.setCancelHandler(handler: TaskCanceller(task: backendTask { await give(sink, work) }))
}

private final class TaskCanceller: CancelHandler {
    private let task: Task<Void, Never>
    init(task: Task<Void, Never>) { self.task = task }

    func cancelled() { task.cancel() }
}

private func give(_ sink: any ResultSink, _ work: @Sendable () async throws -> Void) async {
    do {
        try await work()
        try Task.checkCancellation()
        try sink.done()
    } catch {
        let error = TertuliaError(error)
        // It fails where the results have ended already.
        try? sink.fail(number: error.number, detail: error.detail)
    }
}

private final class RecognizerAdapter: TertuliaGenerated.Recognizer {
    private let model: any Recognizer
    init(_ model: any Recognizer) { self.model = model }

    func info() -> RecognizerInfo { model.info }

    func recognize(request: RecognitionRequest, sink: RecognitionSink) {
        answer(sink) { [model] in
            try sink.pushFinal(transcript: await model.recognize(request, partials: PartialTranscripts(sink: sink)))
        }
    }
}

private final class ChatAdapter: TertuliaGenerated.ChatModel {
    private let model: any ChatModel
    init(_ model: any ChatModel) { self.model = model }

    func info() -> ChatModelInfo { model.info }

    func reply(request: ChatRequest, sink: ChatSink) {
        answer(sink) { [model] in
            for try await text in model.reply(to: request) { try sink.pushText(text: text) }
        }
    }
}

private final class SynthesizerAdapter: TertuliaGenerated.Synthesizer {
    private let model: any Synthesizer
    init(_ model: any Synthesizer) { self.model = model }

    func info() -> SynthesizerInfo { model.info }

    func synthesize(request: SynthesisRequest, sink: SpeechSink) {
        answer(sink) { [model] in
            for try await chunk in model.synthesize(request) { try sink.push(chunk, of: request.text) }
        }
    }
}

extension SpeechSink {
    fileprivate func push(_ chunk: SpeechChunk, of text: String) throws {
        func span(_ range: NSRange) throws(TertuliaError) -> TextSpan {
            guard let span = text.byteSpan(range) else {
                throw TertuliaError(.invalidArgument, detail: "\(range) is no range of the request's text")
            }
            return span
        }
        let words = try chunk.words.map { word in
            TertuliaGenerated.SpokenWord(
                textSpan: try span(word.textRange), language: word.language, startSample: word.samples.lowerBound,
                endSample: word.samples.upperBound)
        }
        try pushAudio(pcm: chunk.pcm, rate: chunk.rate, textSpan: span(chunk.textRange), words: words)
    }
}

private final class VadAdapter: TertuliaGenerated.VadModel {
    private let model: any VadModel
    init(_ model: any VadModel) { self.model = model }

    func info() -> VadInfo { model.info }
    func open() throws -> any TertuliaGenerated.Vad { Detector(try model.open()) }

    private final class Detector: TertuliaGenerated.Vad {
        private let vad: any Vad
        init(_ vad: any Vad) { self.vad = vad }

        func process(frame: Data) throws -> Float { try Frame(pcm: frame).withSamples { try vad.process($0) } }
        func reset() { vad.reset() }
    }

    private struct Frame: MonoAudio {
        let pcm: Data
    }
}
