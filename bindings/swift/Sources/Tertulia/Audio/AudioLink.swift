import Foundation

/// Microphone and loudspeaker of a platform. `AudioEngineDevice` is Apple's; a host can write its own.
///
/// The calls come one at a time. None may crash or wait for long: a device that cannot do what it is asked to throws, or does nothing.
public protocol AudioDevice: AnyObject, Sendable {
    /// Notifications of the platform: routes, interruptions, permission. They are read once.
    var notifications: AsyncStream<AudioRouteController.Event> { get }
    /// The microphone's format at present, as the platform states it.
    func inputFormat() -> AudioFormat
    /// Starts capture. `onAudio` is called on an audio thread with mono samples and their rate.
    func startCapture(_ format: AudioFormat, onAudio: @escaping @Sendable (UnsafeBufferPointer<Float>, UInt32) -> Void) throws
    /// Stops capture, if it has not stopped already.
    func stopCapture()
    /// Makes the platform's objects again.
    func rebuild()
    /// Queues mono samples after those that are queued; `onPlayed` is called once, when they were played or flushed.
    func play(_ pcm: Data, rate: UInt32, onPlayed: @escaping @Sendable () -> Void) throws
    func pausePlayback()
    func resumePlayback()
    /// Stops the playback and discards what is queued. Gives how many samples of the chunk under way were played.
    func flushPlayback() -> UInt64
}

/// The calls of a session that audio needs. They fail where it is closed.
protocol AudioSession: Sendable {
    func pushAudio(_ samples: UnsafeBufferPointer<Float>, rate: UInt32) throws
    func inputInterrupted() throws
    func inputResumed() throws
    func played(turn: UInt64, samplesTotal: UInt64) throws
}

/// Ties a session to a device: microphone audio into the session, replies to the loudspeaker, and reports of what was played.
///
/// The host reads the session's events and gives each to `handle`. `AudioRouteController` decides what becomes of a route that changes.
public actor AudioLink {
    private let session: any AudioSession
    private let device: any AudioDevice
    private let onProblem: @Sendable (MicrophoneProblem?) -> Void
    private let onRoute: @Sendable () -> Void
    private let hasAudio = Locked(false)
    private var route = AudioRouteController()
    private var tasks: [Task<Void, Never>] = []
    private var playback = Playback()

    private struct Playback {
        var turn: UInt64?
        /// Samples of the turn that were played, and of its chunk under way.
        var played: UInt64 = 0
        /// A flush voids the reports of what was queued before.
        var generation = 0
    }

    /// A session of any package; `onRoute` is told of the platform's changes of the route.
    init(
        audio: any AudioSession, device: any AudioDevice, onProblem: @escaping @Sendable (MicrophoneProblem?) -> Void,
        onRoute: @escaping @Sendable () -> Void = {}
    ) {
        (session, self.device, self.onProblem, self.onRoute) = (audio, device, onProblem, onRoute)
    }

    deinit { tasks.forEach { $0.cancel() } }

    /// Opens the microphone. Also after an interruption after which the platform wants the user to decide.
    public func start() {
        if tasks.isEmpty {
            let notifications = device.notifications
            tasks = [
                Task { [weak self] in for await event in notifications { await self?.notified(event) } },
                Task { [weak self] in
                    while (try? await Task.sleep(for: .milliseconds(250))) != nil { await self?.change(.tick) }
                },
            ]
        }
        change(.started)
    }

    /// Closes the microphone, and silences the loudspeaker.
    public func stop() {
        change(.stopped)
        tasks.forEach { $0.cancel() }
        tasks = []
        flush()
    }

    /// Lets go of the microphone and pauses, as an interruption does, until `start`.
    func hold() { change(.interruptionBegan) }

    func pause() { device.pausePlayback() }

    func resume() { device.resumePlayback() }

    /// Plays mono samples after those that are there.
    func play(_ pcm: Data, rate: UInt32, turn: UInt64?) {
        if playback.turn != turn { playback = Playback(turn: turn, generation: playback.generation) }
        let (generation, samples) = (playback.generation, UInt64(pcm.count / MemoryLayout<Float>.size))
        do {
            try device.play(pcm, rate: rate) { [weak self] in
                Task { await self?.wasPlayed(samples, generation: generation) }
            }
        } catch { onProblem(.startFailed("playback: \(error)")) }
    }

    private func wasPlayed(_ samples: UInt64, generation: Int) {
        guard generation == playback.generation else { return }
        playback.played += samples
        report()
    }

    /// Drops what was not played, and reports a last time how much of the turn was.
    func flush() {
        playback.generation += 1
        playback.played += device.flushPlayback()
        report()
        playback.turn = nil
    }

    private func report() {
        guard let turn = playback.turn else { return }
        // It fails where the turn has ended.
        try? session.played(turn: turn, samplesTotal: playback.played)
    }

    private func notified(_ event: AudioRouteController.Event) {
        if case .routeChanged = event { onRoute() }
        change(event)
    }

    private func change(_ event: AudioRouteController.Event) {
        let atMs = DispatchTime.now().uptimeNanoseconds / 1_000_000
        if event == .tick, hasAudio.withLock({ had in defer { had = false }; return had }) { perform(route.handle(.audio, atMs: atMs)) }
        perform(route.handle(event, atMs: atMs))
    }

    private func perform(_ actions: [AudioRouteController.Action]) {
        for action in actions {
            switch action {
            case .readRoute: change(.routeChanged(device.inputFormat()))
            case .startCapture(let format): startCapture(format)
            case .stopCapture: device.stopCapture()
            case .rebuild: device.rebuild()
            // These fail where the session is closed.
            case .inputInterrupted: try? session.inputInterrupted()
            case .inputResumed: try? session.inputResumed()
            case .pausePlayback: device.pausePlayback()
            case .resumePlayback: device.resumePlayback()
            case .problem(let problem): onProblem(problem)
            }
        }
    }

    private func startCapture(_ format: AudioFormat) {
        do {
            try device.startCapture(format) { [session, hasAudio] samples, rate in
                hasAudio.withLock { $0 = true }
                // A full queue is the session's event, and a closed session takes no more.
                try? session.pushAudio(samples, rate: rate)
            }
            change(.captureStarted)
        } catch { change(.captureFailed(String(describing: error))) }
    }
}
