extension TertuliaSession: AudioSession {}

extension AudioLink {
    /// `onProblem` is told why the microphone gives nothing, and nil when it works again.
    public init(session: TertuliaSession, device: any AudioDevice, onProblem: @escaping @Sendable (MicrophoneProblem?) -> Void) {
        self.init(audio: session, device: device, onProblem: onProblem)
    }

    /// Plays, pauses or flushes as an event of the session says.
    public func handle(_ event: TertuliaEvent) {
        switch event.kind {
        case .replyAudioDelta(let audio): play(audio.pcm, rate: audio.rate, turn: event.turn)
        case .playbackPause: pause()
        case .playbackResume: resume()
        case .playbackFlush: flush()
        default: break
        }
    }
}
