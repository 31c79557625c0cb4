/// The form of a device's audio, as the platform states it.
public struct AudioFormat: Sendable, Equatable {
    /// Samples per second; a device that is being taken away states 0.
    public var rate: Double
    public var channels: UInt32

    public init(rate: Double, channels: UInt32) { (self.rate, self.channels) = (rate, channels) }

    /// True where the engine takes it. To start a platform's audio with any other crashes the process.
    public var isUsable: Bool { (8_000...192_000).contains(rate) && (1...8).contains(channels) }
}

/// Why the microphone gives nothing at present. Show it: the user speaks to nothing otherwise.
public enum MicrophoneProblem: Sendable, Equatable {
    /// The user has not permitted it.
    case notPermitted
    /// A call, another app or the system has it.
    case interrupted
    /// There is none, or its format is none (a route that is changing).
    case noDevice
    /// It did not start; the text is for logs.
    case startFailed(String)
    /// It runs, but no audio came.
    case silent
}

/// Decides what becomes of microphone and loudspeaker when the platform's audio changes: a state machine without clock, threads or platform.
///
/// Whatever happens, it tries again until audio comes, and says why none does. Times are milliseconds of any one clock.
public struct AudioRouteController: Sendable {
    public enum Event: Sendable, Equatable {
        /// The host wants the microphone, or wants it after an interruption that did not end by itself.
        case started
        /// The host does not want it any more.
        case stopped
        /// The route changed; the microphone that is there now. Also the answer to `readRoute`.
        case routeChanged(AudioFormat)
        /// The platform stopped capture by itself, as AVAudioEngine does where its configuration changes.
        case captureStopped
        /// A call, an alarm or another app takes the audio.
        case interruptionBegan
        /// It is over; false where the platform says that the app should wait for the user.
        case interruptionEnded(shouldResume: Bool)
        /// The platform's audio was restarted: all objects of it are void.
        case servicesReset
        /// The app came to the foreground. Some interruptions never say that they are over.
        case appActive
        /// The user's answer about the microphone.
        case permission(Bool)
        /// Capture began.
        case captureStarted
        /// Capture did not begin.
        case captureFailed(String)
        /// Audio came.
        case audio
        /// Time went by; to be given every half second or so.
        case tick
    }

    public enum Action: Sendable, Equatable {
        /// Read the microphone's format, and give it with `routeChanged`.
        case readRoute
        /// Start capture in this format, and answer with `captureStarted` or `captureFailed`.
        case startCapture(AudioFormat)
        /// Stop capture, which may have stopped already.
        case stopCapture
        /// Make the platform's objects again.
        case rebuild
        /// Call the session's `inputInterrupted`.
        case inputInterrupted
        /// Call the session's `inputResumed`.
        case inputResumed
        /// Pause the loudspeaker.
        case pausePlayback
        /// Resume it.
        case resumePlayback
        /// Tell the host; nil where the microphone works again.
        case problem(MicrophoneProblem?)
    }

    /// Audio that does not come for so long is a dead microphone.
    static let silenceMsMax: UInt64 = 2_000
    /// The first and the longest wait before another try.
    static let retryMs: ClosedRange<UInt64> = 250...4_000

    private enum Capture: Equatable {
        case off
        /// Asked for its format.
        case asking(sinceMs: UInt64)
        /// Asked to start.
        case starting(sinceMs: UInt64)
        case running(AudioFormat, lastAudioMs: UInt64)
        case waiting(untilMs: UInt64)
    }

    private var isWanted = false
    private var isInterrupted = false
    private var isPermitted = true
    private var isPlaybackPaused = false
    private var capture = Capture.off
    private var format: AudioFormat?
    private var retryMs = Self.retryMs.lowerBound
    private var problem: MicrophoneProblem?

    public init() {}

    /// The actions that an event asks for, in order.
    public mutating func handle(_ event: Event, atMs: UInt64) -> [Action] {
        switch event {
        case .started:
            (isWanted, isInterrupted, isPermitted) = (true, false, true)
            return resumedPlayback() + begin(atMs)
        case .stopped:
            (isWanted, isInterrupted) = (false, false)
            return ended() + told(nil)
        case .permission(let isGranted):
            isPermitted = isGranted
            return isGranted ? begin(atMs) : ended() + told(.notPermitted)
        case .interruptionBegan:
            return interrupted()
        case .interruptionEnded(let shouldResume):
            return shouldResume ? resumed(atMs) : []
        case .appActive:
            return resumed(atMs)
        case .servicesReset:
            isInterrupted = false
            return ended() + [.rebuild] + resumedPlayback() + begin(atMs)
        case .routeChanged(let format):
            return routeChanged(format, atMs)
        case .captureStopped:
            return ended() + begin(atMs)
        case .captureStarted:
            guard case .starting = capture, let format else { return isWanted ? [] : [.stopCapture] }
            capture = .running(format, lastAudioMs: atMs)
            return [.inputResumed]
        case .captureFailed(let why):
            return later(.startFailed(why), atMs)
        case .audio:
            guard case .running(let format, _) = capture else { return [] }
            capture = .running(format, lastAudioMs: atMs)
            retryMs = Self.retryMs.lowerBound
            return told(nil)
        case .tick:
            return tick(atMs)
        }
    }

    private mutating func tick(_ atMs: UInt64) -> [Action] {
        switch capture {
        case .running(_, let lastAudioMs) where atMs >= lastAudioMs + Self.silenceMsMax: return later(.silent, atMs)
        // The platform never answered.
        case .asking(let sinceMs) where atMs >= sinceMs + Self.silenceMsMax, .starting(let sinceMs) where atMs >= sinceMs + Self.silenceMsMax: return later(.silent, atMs)
        case .waiting(let untilMs) where atMs >= untilMs: return begin(atMs)
        default: return []
        }
    }

    private mutating func routeChanged(_ next: AudioFormat, _ atMs: UInt64) -> [Action] {
        if case .running(let format, _) = capture, next == format { return [] }
        format = next
        guard isWanted, isPermitted, !isInterrupted else { return [] }
        guard next.isUsable else { return later(.noDevice, atMs) }
        let before = ended()
        capture = .starting(sinceMs: atMs)
        return before + [.startCapture(next)]
    }

    private mutating func begin(_ atMs: UInt64) -> [Action] {
        guard isWanted, isPermitted, !isInterrupted else { return [] }
        if case .running = capture { return [] }
        let before = ended()
        capture = .asking(sinceMs: atMs)
        return before + [.readRoute]
    }

    private mutating func interrupted() -> [Action] {
        guard !isInterrupted else { return [] }
        isInterrupted = true
        let pause: [Action] = isPlaybackPaused ? [] : [.pausePlayback]
        isPlaybackPaused = true
        return ended() + pause + (isWanted ? told(.interrupted) : [])
    }

    private mutating func resumed(_ atMs: UInt64) -> [Action] {
        guard isInterrupted else { return [] }
        isInterrupted = false
        return resumedPlayback() + begin(atMs)
    }

    private mutating func resumedPlayback() -> [Action] {
        defer { isPlaybackPaused = false }
        return isPlaybackPaused ? [.resumePlayback] : []
    }

    /// Stops capture, and tries again after a wait that grows.
    private mutating func later(_ problem: MicrophoneProblem, _ atMs: UInt64) -> [Action] {
        guard isWanted, isPermitted, !isInterrupted else { return ended() }
        let actions = ended()
        capture = .waiting(untilMs: atMs + retryMs)
        retryMs = min(retryMs * 2, Self.retryMs.upperBound)
        return actions + told(problem)
    }

    private mutating func ended() -> [Action] {
        defer { capture = .off }
        return switch capture {
        case .running: [.stopCapture, .inputInterrupted]
        case .starting: [.stopCapture]
        case .off, .asking, .waiting: []
        }
    }

    private mutating func told(_ next: MicrophoneProblem?) -> [Action] {
        defer { problem = next }
        return next == problem ? [] : [.problem(next)]
    }
}
