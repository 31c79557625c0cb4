import TertuliaTestSupport
import XCTest

/// A session tied to a device, whose platform is scripted.
final class AudioLinkTests: XCTestCase {
    func testAConversationGoesOnThroughRoutesThatChange() async throws {
        let engine = try await engine(vad: LevelVad())
        let session = try await engine.createSession(config(playback: .reported, listening: Listening(mode: .continuous)))
        let device = ScriptedDevice()
        let problems = Recorded<[MicrophoneProblem?]>([])
        let link = AudioLink(session: session, device: device) { problem in problems.change { $0.append(problem) } }
        let ends = Recorded<[TertuliaEventKind]>([])
        let reader = Task {
            for try await event in session.events {
                await link.handle(event)
                if event.kind.isTurnEnd { ends.change { $0.append(event.kind) } }
            }
        }
        await link.start()
        try await reached { device.state.value.starts == [ScriptedDevice.builtIn] }
        device.speak(rate: 48_000)
        try await reached { ends.value.count == 1 }

        device.notify(.routeChanged(AudioFormat(rate: 0, channels: 2)))
        try await reached { problems.value == [.noDevice] && !device.state.value.isCapturing }
        let headset = AudioFormat(rate: 16_000, channels: 1)
        device.state.change { $0.format = headset }
        try await reached { device.state.value.starts.last == headset }
        device.speak(rate: 16_000)
        try await reached { ends.value.count == 2 && problems.value.last == .some(nil) }

        device.notify(.interruptionBegan)
        try await reached { !device.state.value.isCapturing && device.state.value.isPaused }
        device.notify(.interruptionEnded(shouldResume: true))
        try await reached { device.state.value.isCapturing && !device.state.value.isPaused }
        for end in ends.value { if case .turnFinished = end {} else { XCTFail("\(end)") } }

        await link.stop()
        XCTAssertFalse(device.state.value.isCapturing)
        reader.cancel()
        try await engine.shutDown()
    }

    func testAFlushReportsWhatWasPlayed() async throws {
        let engine = try await engine(chat: ScriptedChat("Uno dos tres."))
        let session = try await engine.createSession(config(playback: .reported))
        let device = ScriptedDevice()
        device.state.change { $0.playsAtOnce = false }
        let link = AudioLink(session: session, device: device) { _ in }
        try session.send("Hola")
        for event in try await session.until({ if case .replyAudioDone = $0 { true } else { false } }) { await link.handle(event) }
        try session.interrupt()
        let end = try await within {
            for try await event in session.events {
                await link.handle(event)
                if event.kind.isTurnEnd { return event.kind }
            }
            throw TimedOut()
        }
        guard case .turnInterrupted(reason: .cancel, let heard, _) = end else { return XCTFail("\(end)") }
        XCTAssertEqual(heard.trimmingCharacters(in: .whitespaces), "Uno", "the device played 1,600 samples of the first word")
        try await engine.shutDown()
    }
}

/// Waits until something is so.
private func reached(_ line: UInt = #line, _ condition: () -> Bool) async throws {
    for _ in 0..<1_500 where !condition() { try await Task.sleep(for: .milliseconds(10)) }
    XCTAssertTrue(condition(), line: line)
}

/// A device that does what a test says.
private final class ScriptedDevice: AudioDevice {
    static let builtIn = AudioFormat(rate: 48_000, channels: 1)

    struct State {
        var format = ScriptedDevice.builtIn
        var starts: [AudioFormat] = []
        var isCapturing = false
        var isPaused = false
        var playsAtOnce = true
        var onAudio: (@Sendable (UnsafeBufferPointer<Float>, UInt32) -> Void)?
    }

    let state = Recorded(State())
    let notifications: AsyncStream<AudioRouteController.Event>
    private let continuation: AsyncStream<AudioRouteController.Event>.Continuation

    init() { (notifications, continuation) = AsyncStream.makeStream() }

    func notify(_ event: AudioRouteController.Event) { continuation.yield(event) }

    /// A second of a tone, and two of silence.
    func speak(rate: UInt32) {
        let tone = (0..<rate).map { sin(Float($0) * 6_000 / Float(rate)) * 0.5 }
        let silence = [Float](repeating: 0, count: Int(rate) * 2)
        (tone + silence).withUnsafeBufferPointer { state.value.onAudio?($0, rate) }
    }

    func inputFormat() -> AudioFormat { state.value.format }

    func startCapture(_ format: AudioFormat, onAudio: @escaping @Sendable (UnsafeBufferPointer<Float>, UInt32) -> Void) {
        state.change {
            $0.starts.append(format)
            ($0.isCapturing, $0.onAudio) = (true, onAudio)
        }
    }

    func stopCapture() { state.change { ($0.isCapturing, $0.onAudio) = (false, nil) } }
    func rebuild() {}
    func play(_ pcm: Data, rate: UInt32, onPlayed: @escaping @Sendable () -> Void) { if state.value.playsAtOnce { onPlayed() } }
    func pausePlayback() { state.change { $0.isPaused = true } }
    func resumePlayback() { state.change { $0.isPaused = false } }
    func flushPlayback() -> UInt64 { 1_600 }
}
