// The package's Swift and C++ on the real library, with a device that does what this program says.
import Foundation

@_silgen_name("test_open") func testOpen() -> UnsafeMutableRawPointer
@_silgen_name("test_start") func testStart(_ engine: UnsafeMutableRawPointer, _ options: UnsafePointer<CChar>) -> UnsafePointer<CChar>
@_silgen_name("test_stop") func testStop(_ engine: UnsafeMutableRawPointer)
@_silgen_name("test_hold") func testHold(_ engine: UnsafeMutableRawPointer, _ isHeld: Bool)
@_silgen_name("test_apply") func testApply(_ engine: UnsafeMutableRawPointer, _ fields: UnsafePointer<CChar>) -> UnsafePointer<CChar>
@_silgen_name("test_next") func testNext(_ engine: UnsafeMutableRawPointer) -> UnsafePointer<CChar>
@_silgen_name("test_news") func testNews(_ engine: UnsafeMutableRawPointer) -> UnsafePointer<CChar>
@_silgen_name("test_close") func testClose(_ engine: UnsafeMutableRawPointer)

func check(_ condition: Bool, _ what: @autoclosure () -> String, _ line: Int = #line) {
    if condition { return }
    print("main.swift:\(line): \(what())")
    exit(1)
}

/// Waits until something is so.
func reached(_ what: @autoclosure () -> String, _ line: Int = #line, _ condition: () -> Bool) {
    for _ in 0..<1_500 {
        if condition() { return }
        Thread.sleep(forTimeInterval: 0.01)
    }
    check(false, what(), line)
}

final class ScriptedDevice: AudioDevice {
    struct State {
        var format = AudioFormat(rate: 48_000, channels: 1)
        var starts: [AudioFormat] = []
        var isPaused = false
        var samples = 0
        var playsAtOnce = true
        var onAudio: (@Sendable (UnsafeBufferPointer<Float>, UInt32) -> Void)?
    }

    let state = Locked(State())
    let notifications: AsyncStream<AudioRouteController.Event>
    private let continuation: AsyncStream<AudioRouteController.Event>.Continuation

    init() { (notifications, continuation) = AsyncStream.makeStream() }

    var now: State { state.withLock { $0 } }
    func notify(_ event: AudioRouteController.Event) { continuation.yield(event) }

    /// A second of a tone.
    func speak(rate: UInt32) {
        let tone = (0..<rate).map { sin(Float($0) * 6_000 / Float(rate)) * 0.5 }
        let onAudio = now.onAudio
        tone.withUnsafeBufferPointer { onAudio?($0, rate) }
    }

    func inputFormat() -> AudioFormat { now.format }
    func startCapture(_ format: AudioFormat, onAudio: @escaping @Sendable (UnsafeBufferPointer<Float>, UInt32) -> Void) {
        state.withLock {
            $0.starts.append(format)
            $0.onAudio = onAudio
        }
    }
    func stopCapture() { state.withLock { $0.onAudio = nil } }
    func rebuild() {}
    func play(_ pcm: Data, rate: UInt32, onPlayed: @escaping @Sendable () -> Void) {
        let plays = state.withLock {
            $0.samples += pcm.count / 4
            return $0.playsAtOnce
        }
        if plays { onPlayed() }
    }
    func pausePlayback() { state.withLock { $0.isPaused = true } }
    func resumePlayback() { state.withLock { $0.isPaused = false } }
    func flushPlayback() -> UInt64 { 1_600 }
}

/// An engine, and the events that were read.
final class Session {
    let engine = testOpen()
    var events: [String] = []

    func start(_ options: String = #"{"managesFocus":true,"asksForPermission":true}"#) -> String { String(cString: testStart(engine, options)) }
    func apply(_ fields: String) { _ = testApply(engine, fields) }
    var news: String { String(cString: testNews(engine)) }

    func until(_ type: String, _ line: Int = #line) -> String {
        reached("\(type) after \(events)", line) {
            let event = String(cString: testNext(engine))
            if !event.isEmpty { events.append(event) }
            return event.contains("\"type\":\"\(type)\"")
        }
        return events.last ?? ""
    }
}

let asked = Locked<[Bool]>([])
let device = Locked(ScriptedDevice())
/// The device of the next audio.
func next() -> ScriptedDevice {
    let new = ScriptedDevice()
    device.withLock { $0 = new }
    return new
}

let session = Session()
check(session.start() == "the app has set no device", "an audio without a device")
reached("the end") { session.news == "closed" }
TertuliaAudio.makeDevice = { managesFocus, asks in
    asked.withLock { $0 += [managesFocus, asks] }
    return device.withLock { $0 }
}

// A spoken turn, through routes and a call.
let first = next()
check(session.start(#"{"managesFocus":false,"asksForPermission":true}"#) == "", "the start")
check(asked.withLock { $0 } == [false, true], "the options")
check(session.start().hasPrefix("failed: the session has audio"), "a second audio")
reached("capture") { first.now.onAudio != nil }
first.speak(rate: 48_000)
session.apply(#""type":"end_utterance""#)
check(session.until("transcript_done").contains("16000 samples"), session.events.last ?? "")
_ = session.until("turn_finished")
check(first.now.samples == 4_800, "\(first.now.samples) samples")
check(!session.events.contains { $0.contains("PlaybackNotReported") }, "\(session.events)")
first.notify(.routeChanged(AudioFormat(rate: 0, channels: 2)))
reached(session.news) { session.news == "closed route_changed microphone_format" }
first.state.withLock { $0.format = AudioFormat(rate: 16_000, channels: 1) }
reached("the headset") { first.now.starts.last?.rate == 16_000 }
first.speak(rate: 16_000)
reached(session.news) { session.news == "closed route_changed microphone_format resumed" }
first.notify(.interruptionBegan)
reached("the call") { first.now.isPaused && first.now.onAudio == nil }
first.notify(.interruptionEnded(shouldResume: true))
reached("its end") { !first.now.isPaused && first.now.onAudio != nil }
first.speak(rate: 16_000)
reached(session.news) { session.news.hasSuffix("interrupted resumed") }
testHold(session.engine, true)
reached("the hold") { first.now.isPaused && first.now.onAudio == nil }
testHold(session.engine, false)
reached("its end") { !first.now.isPaused && first.now.onAudio != nil }
testStop(session.engine)
check(first.now.onAudio == nil, "a microphone after the end")
check(session.news.hasSuffix("closed"), session.news)
testStop(session.engine)

// A reply that is interrupted in its middle.
let second = next()
second.state.withLock { $0.playsAtOnce = false }
check(session.start() == "", "another audio")
session.apply(#""type":"say","text":"Uno dos tres.""#)
_ = session.until("reply_audio_done")
reached("the reply") { second.now.samples == 4_800 }
session.apply(#""type":"interrupt""#)
check(session.until("turn_interrupted").contains(#""heard_text":"Uno ""#), session.events.last ?? "")
// A session that is closed under its audio.
session.apply(#""type":"close_session""#)
reached("the end") { second.now.onAudio == nil && session.news.hasSuffix("closed closed") || session.news.hasSuffix("resumed closed") }
testClose(session.engine)

for round in 0..<50 {
    let session = Session()
    _ = next()
    check(session.start() == "", "audio \(round)")
    session.apply(#""type":"say","text":"Uno dos tres.""#)
    if round % 2 == 0 { session.apply(#""type":"close_session""#) }
    testStop(session.engine)
    testClose(session.engine)
}
print("the audio of Apple's platforms: ok")
