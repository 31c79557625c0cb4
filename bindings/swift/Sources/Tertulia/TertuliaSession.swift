import Foundation
public import TertuliaGenerated

/// A handle of an open session. It does not keep the session open: only `close()` and `end()` change that.
///
/// Every call may come from any thread, and those that are not `async` never wait.
public final class TertuliaSession: Sendable {
    /// The session's id, with which it can be opened again.
    public let id: String
    /// The session's events.
    public var events: EventReader { EventReader(source: source) }

    private let session: TertuliaGenerated.TertuliaSession
    private let source: EventSource

    init(_ session: TertuliaGenerated.TertuliaSession) {
        self.session = session
        id = session.id()
        source = EventSource(
            .init(poll: { try session.nextEvent(timeoutMs: 0) }, setWaker: { try session.setWaker(waker: $0) }))
    }

    /// The next event that is there; nil where none is. Never waits.
    public func pollEvent() throws(TertuliaError) -> TertuliaEvent? { try source.poll() }

    // MARK: Audio

    /// Takes in mono samples of -1 to 1 from the microphone at `rate` Hz (8,000 to 192,000), in blocks of any length.
    public func pushAudio(_ samples: UnsafeBufferPointer<Float>, rate: UInt32) throws(TertuliaError) {
        try call { try withBytes(of: samples) { try session.pushAudio(pcm: $0, rate: rate) } }
    }

    public func pushAudio(_ samples: [Float], rate: UInt32) throws(TertuliaError) {
        try call { try samples.withUnsafeBufferPointer { try pushAudio($0, rate: rate) } }
    }

    /// The same with bytes of 32-bit floats.
    public func pushAudio(_ pcm: Data, rate: UInt32) throws(TertuliaError) {
        try call { try session.pushAudio(pcm: pcm, rate: rate) }
    }

    /// The same with 16-bit samples.
    public func pushAudio(_ samples: UnsafeBufferPointer<Int16>, rate: UInt32) throws(TertuliaError) {
        try call { try withBytes(of: samples) { try session.pushAudioI16(pcm: $0, rate: rate) } }
    }

    public func pushAudio(_ samples: [Int16], rate: UInt32) throws(TertuliaError) {
        try call { try samples.withUnsafeBufferPointer { try pushAudio($0, rate: rate) } }
    }

    /// The same with interleaved samples of several channels, which are averaged.
    public func pushInterleaved(_ samples: UnsafeBufferPointer<Float>, channels: UInt32, rate: UInt32) throws(TertuliaError) {
        try call { try withBytes(of: samples) { try session.pushInterleaved(pcm: $0, channels: channels, rate: rate) } }
    }

    public func pushInterleaved(_ pcm: Data, channels: UInt32, rate: UInt32) throws(TertuliaError) {
        try call { try session.pushInterleaved(pcm: pcm, channels: channels, rate: rate) }
    }

    /// Takes in what the loudspeaker plays, for the engine's echo canceller. Not needed with the platform's voice processing.
    public func pushPlayback(_ samples: UnsafeBufferPointer<Float>, rate: UInt32) throws(TertuliaError) {
        try call { try withBytes(of: samples) { try session.pushPlayback(pcm: $0, rate: rate) } }
    }

    /// Starts a turn with one whole file (webm, mp4, ogg, wav, mp3 or flac), and gives its number.
    @discardableResult
    public func pushEncoded(_ bytes: Data) throws(TertuliaError) -> UInt64 { try call { try session.pushEncoded(bytes: bytes) } }

    /// Ends the utterance whose audio was pushed, and starts a turn.
    @discardableResult
    public func endUtterance() throws(TertuliaError) -> UInt64 { try call { try session.endUtterance() } }

    /// Drops the utterance under way; no turn begins.
    public func discardUtterance() throws(TertuliaError) { try call { try session.discardUtterance() } }

    /// Tells that the microphone was taken away.
    public func inputInterrupted() throws(TertuliaError) { try call { try session.inputInterrupted() } }

    /// Tells that the microphone is back, and may be another one.
    public func inputResumed() throws(TertuliaError) { try call { try session.inputResumed() } }

    /// Reports how many samples of the turn's reply were played in total.
    public func played(turn: UInt64, samplesTotal: UInt64) throws(TertuliaError) {
        try call { try session.played(turn: turn, samplesTotal: samplesTotal) }
    }

    // MARK: Turns

    /// Starts a turn with a typed text.
    @discardableResult
    public func send(_ text: String) throws(TertuliaError) -> UInt64 { try call { try session.sendText(text: text) } }

    /// Starts a turn that speaks this text.
    @discardableResult
    public func say(_ text: String) throws(TertuliaError) -> UInt64 { try call { try session.say(text: text) } }

    /// Starts a turn with a reply that no utterance asked for: to instructions, or without them to open the conversation.
    @discardableResult
    public func reply(to instructions: String? = nil) throws(TertuliaError) -> UInt64 {
        try call { try session.reply(instructions: instructions) }
    }

    /// Retries a failed or interrupted turn as a new turn.
    @discardableResult
    public func retry(turn: UInt64) async throws(TertuliaError) -> UInt64 {
        try await blockingCall { [session] in try session.retryTurn(turn: turn) }
    }

    /// Corrects the user's words of a turn; the conversation goes on from there.
    @discardableResult
    public func correct(turn: UInt64, text: String) async throws(TertuliaError) -> UInt64 {
        try await blockingCall { [session] in try session.correct(turn: turn, text: text) }
    }

    /// Interrupts the turn under way.
    public func interrupt() throws(TertuliaError) { try call { try session.interrupt() } }

    /// Interrupts the turn under way and all that wait.
    public func interruptAll() throws(TertuliaError) { try call { try session.interruptAll() } }

    // MARK: The session

    /// The settings for the next turn.
    public var config: SessionConfig { get throws(TertuliaError) { try call { try session.config() } } }

    /// Changes settings from the next turn on.
    public func update(_ update: SessionUpdate) throws(TertuliaError) { try call { try session.update(update: update) } }

    /// Closes the session without ending it: it can be opened again. `sessionClosed` is its last event.
    public func close() throws(TertuliaError) { try call { try session.closeSession() } }

    /// Ends the session for good.
    public func end() throws(TertuliaError) { try call { try session.endSession() } }
}
