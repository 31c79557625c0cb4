import Foundation

/// Speech to text of the host's. It is asked again before it has answered; a request that is not wanted any more has its task cancelled.
public protocol Recognizer: Sendable {
    /// Its name and abilities; asked for once.
    var info: RecognizerInfo { get }
    /// Recognises an utterance of 16,000 Hz; partial transcripts, if it has any, go to `partials` on the way.
    func recognize(_ request: RecognitionRequest, partials: PartialTranscripts) async throws -> SpeechTranscript
}

/// Replies of the host's.
public protocol ChatModel: Sendable {
    /// Its name and abilities; asked for once.
    var info: ChatModelInfo { get }
    /// The parts of a reply to the last message. The stream is terminated where the reply is not wanted any more.
    func reply(to request: ChatRequest) -> AsyncThrowingStream<String, any Error>
}

/// Text to speech of the host's.
public protocol Synthesizer: Sendable {
    /// Its name and abilities; asked for once.
    var info: SynthesizerInfo { get }
    /// The chunks of speech, which cover the request's text without gap.
    func synthesize(_ request: SynthesisRequest) -> AsyncThrowingStream<SpeechChunk, any Error>
}

/// Voice activity detection of the host's.
public protocol VadModel: Sendable {
    /// Its name and frames; asked for once.
    var info: VadInfo { get }
    /// A detector with empty state, for one stream of audio.
    func open() throws -> any Vad
}

/// A voice activity detector of one stream of audio. It is called on an audio thread, one call at a time: it must not wait.
public protocol Vad: AnyObject, Sendable {
    /// The probability of speech, 0 to 1, in the next frame.
    func process(_ frame: UnsafeBufferPointer<Float>) throws -> Float
    /// Empties the state.
    func reset()
}

/// The backends of the host's; nil for a role that has a model of the options, or nothing.
public struct HostBackends: Sendable {
    public var vad: (any VadModel)?
    public var recognizer: (any Recognizer)?
    public var chat: (any ChatModel)?
    public var synthesizer: (any Synthesizer)?

    public init(
        vad: (any VadModel)? = nil, recognizer: (any Recognizer)? = nil, chat: (any ChatModel)? = nil,
        synthesizer: (any Synthesizer)? = nil
    ) {
        (self.vad, self.recognizer, self.chat, self.synthesizer) = (vad, recognizer, chat, synthesizer)
    }
}
