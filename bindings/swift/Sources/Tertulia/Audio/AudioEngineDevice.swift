#if canImport(AVFoundation)
@preconcurrency import AVFoundation

/// Microphone and loudspeaker by AVAudioEngine, with the system's voice processing: echo cancellation, noise suppression and gain control.
///
/// It owns the app's audio session on iOS. Give `configuresSession: false` where the app sets category and activation itself, and
/// `asksForPermission: false` where it asks the user itself.
public final class AudioEngineDevice: AudioDevice, @unchecked Sendable {
    public let notifications: AsyncStream<AudioRouteController.Event>

    private let continuation: AsyncStream<AudioRouteController.Event>.Continuation
    private let configuresSession: Bool
    private let lock = NSRecursiveLock()
    private var engine = AVAudioEngine()
    private var player = AVAudioPlayerNode()
    private var playerFormat: AVAudioFormat?
    private var queue = Queue()
    private var hasTap = false
    private var isPaused = false
    private var observers: [any NSObjectProtocol] = []

    /// The chunks that the player has, on its timeline, which goes on where it has none.
    private struct Queue {
        /// A flush voids the reports of chunks from before.
        var generation = 0
        /// The frames of each chunk, the one under way first, and where that one starts.
        var chunks: [AVAudioFramePosition] = []
        var start: AVAudioFramePosition = 0
        /// How much of it was played when the player was paused, whose timeline cannot be read then.
        var atPause: AVAudioFramePosition?
    }

    public init(configuresSession: Bool = true, asksForPermission: Bool = true) {
        self.configuresSession = configuresSession
        (notifications, continuation) = AsyncStream.makeStream()
        observe()
        if asksForPermission { askForPermission() }
    }

    deinit {
        observers.forEach(NotificationCenter.default.removeObserver)
        continuation.finish()
    }

    public func inputFormat() -> AudioFormat {
        lock.withLock {
            // The session first: before it is active the route is that of playback only, and the format 0 Hz.
            try? activate()
            return formatNow()
        }
    }

    private func formatNow() -> AudioFormat {
        let format = lock.withLock { engine.inputNode.outputFormat(forBus: 0) }
        return AudioFormat(rate: format.sampleRate, channels: format.channelCount)
    }

    public func startCapture(_ format: AudioFormat, onAudio: @escaping @Sendable (UnsafeBufferPointer<Float>, UInt32) -> Void) throws {
        try lock.withLock {
            try activate()
            let input = engine.inputNode
            if !input.isVoiceProcessingEnabled {
                engine.stop()
                try input.setVoiceProcessingEnabled(true)
            }
            // installTap raises an exception, which Swift cannot catch, for a format that is none.
            guard formatNow().isUsable else { throw AudioDeviceError.noFormat }
            removeTap()
            input.installTap(onBus: 0, bufferSize: 1_024, format: nil) { buffer, _ in
                guard let channels = buffer.floatChannelData, buffer.frameLength > 0 else { return }
                // With voice processing the first channel is the processed voice.
                onAudio(UnsafeBufferPointer(start: channels[0], count: Int(buffer.frameLength)), UInt32(buffer.format.sampleRate))
            }
            hasTap = true
            engine.prepare()
            if !engine.isRunning { try engine.start() }
            if playerFormat != nil, !isPaused { player.play() }
        }
    }

    public func stopCapture() {
        lock.withLock {
            removeTap()
            if playerFormat == nil { engine.stop() }
        }
    }

    public func rebuild() {
        lock.withLock {
            engine = AVAudioEngine()
            player = AVAudioPlayerNode()
            (playerFormat, hasTap, queue) = (nil, false, Queue(generation: queue.generation + 1))
        }
    }

    public func play(_ pcm: Data, rate: UInt32, onPlayed: @escaping @Sendable () -> Void) throws {
        if pcm.isEmpty { return onPlayed() }
        try lock.withLock {
            guard let format = AVAudioFormat(standardFormatWithSampleRate: Double(rate), channels: 1),
                let buffer = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: AVAudioFrameCount(pcm.count / MemoryLayout<Float>.size)),
                let channel = buffer.floatChannelData?[0]
            else { throw AudioDeviceError.noFormat }
            buffer.frameLength = buffer.frameCapacity
            pcm.copyBytes(to: UnsafeMutableRawBufferPointer(start: channel, count: Int(buffer.frameLength) * MemoryLayout<Float>.size))
            if playerFormat != format {
                if playerFormat == nil { engine.attach(player) }
                engine.connect(player, to: engine.mainMixerNode, format: format)
                playerFormat = format
            }
            if !engine.isRunning { try engine.start() }
            let generation = queue.generation
            if queue.chunks.isEmpty { queue.start = position() ?? 0 }
            queue.chunks.append(AVAudioFramePosition(buffer.frameLength))
            player.scheduleBuffer(buffer, completionCallbackType: .dataPlayedBack) { [weak self] _ in
                self?.wasPlayed(generation)
                onPlayed()
            }
            if !player.isPlaying, !isPaused { player.play() }
        }
    }

    public func pausePlayback() {
        lock.withLock {
            isPaused = true
            guard playerFormat != nil else { return }
            queue.atPause = underWay()
            player.pause()
        }
    }

    public func resumePlayback() {
        lock.withLock {
            (isPaused, queue.atPause) = (false, nil)
            guard playerFormat != nil else { return }
            if !engine.isRunning { try? engine.start() }
            if engine.isRunning { player.play() }
        }
    }

    public func flushPlayback() -> UInt64 {
        lock.withLock {
            isPaused = false
            guard playerFormat != nil else { return 0 }
            let played = queue.atPause ?? underWay()
            queue = Queue(generation: queue.generation + 1)
            player.stop()
            return UInt64(played)
        }
    }

    private func wasPlayed(_ generation: Int) {
        lock.withLock {
            if generation == queue.generation { queue.start += queue.chunks.removeFirst() }
        }
    }

    /// The frame on the player's timeline; nil where it does not run.
    private func position() -> AVAudioFramePosition? {
        player.lastRenderTime.flatMap(player.playerTime(forNodeTime:))?.sampleTime
    }

    /// The frames of the chunk under way that were played.
    private func underWay() -> AVAudioFramePosition {
        min(max((position() ?? queue.start) - queue.start, 0), queue.chunks.first ?? 0)
    }

    private func removeTap() {
        if hasTap { engine.inputNode.removeTap(onBus: 0) }
        hasTap = false
    }

    private func activate() throws {
        #if !os(macOS)
        guard configuresSession else { return }
        let session = AVAudioSession.sharedInstance()
        try session.setCategory(.playAndRecord, mode: .voiceChat, options: [.allowBluetooth, .defaultToSpeaker])
        try session.setActive(true)
        #endif
    }

    private func askForPermission() {
        AVCaptureDevice.requestAccess(for: .audio) { [continuation] isGranted in continuation.yield(.permission(isGranted)) }
    }

    private func observe() {
        on(.AVAudioEngineConfigurationChange) { _, _ in .captureStopped }
        #if !os(macOS)
        on(AVAudioSession.routeChangeNotification) { device, _ in .routeChanged(device.formatNow()) }
        on(AVAudioSession.mediaServicesWereResetNotification) { _, _ in .servicesReset }
        on(AVAudioSession.interruptionNotification) { _, notification in
            let info = notification.userInfo
            let type = (info?[AVAudioSessionInterruptionTypeKey] as? UInt).flatMap(AVAudioSession.InterruptionType.init)
            let options = AVAudioSession.InterruptionOptions(rawValue: info?[AVAudioSessionInterruptionOptionKey] as? UInt ?? 0)
            return type == .began ? .interruptionBegan : .interruptionEnded(shouldResume: options.contains(.shouldResume))
        }
        on(Notification.Name("UIApplicationDidBecomeActiveNotification")) { _, _ in .appActive }
        #endif
    }

    private func on(_ name: Notification.Name, _ event: @escaping @Sendable (AudioEngineDevice, Notification) -> AudioRouteController.Event) {
        observers.append(
            NotificationCenter.default.addObserver(forName: name, object: nil, queue: nil) { [weak self] notification in
                guard let self else { return }
                self.continuation.yield(event(self, notification))
            })
    }
}

/// A device that cannot start.
public enum AudioDeviceError: Error {
    /// The format at present is none.
    case noFormat
}
#endif
