import TertuliaTestSupport
import XCTest

/// What becomes of microphone and loudspeaker when the platform's audio changes, by injected notifications.
final class AudioRouteTests: XCTestCase {
    private let builtIn = AudioFormat(rate: 48_000, channels: 1)
    private let headset = AudioFormat(rate: 16_000, channels: 1)
    private let none = AudioFormat(rate: 0, channels: 2)

    /// A controller whose microphone runs and gives audio.
    private func running() -> AudioRouteController {
        var route = AudioRouteController()
        XCTAssertEqual(route.handle(.started, atMs: 0), [.readRoute])
        XCTAssertEqual(route.handle(.routeChanged(builtIn), atMs: 0), [.startCapture(builtIn)])
        XCTAssertEqual(route.handle(.captureStarted, atMs: 10), [.inputResumed])
        XCTAssertEqual(route.handle(.audio, atMs: 20), [])
        return route
    }

    func testARouteOf0HzAnd2ChannelsIsNeverStarted() {
        var route = running()
        XCTAssertEqual(route.handle(.routeChanged(none), atMs: 100), [.stopCapture, .inputInterrupted, .problem(.noDevice)])
        XCTAssertEqual(route.handle(.tick, atMs: 200), [])
        XCTAssertEqual(route.handle(.tick, atMs: 350), [.readRoute], "it tries again")
        XCTAssertEqual(route.handle(.routeChanged(none), atMs: 350), [], "it says so once")
        XCTAssertEqual(route.handle(.tick, atMs: 850), [.readRoute])
        XCTAssertEqual(route.handle(.routeChanged(headset), atMs: 850), [.startCapture(headset)])
        XCTAssertEqual(route.handle(.captureStarted, atMs: 860), [.inputResumed])
        XCTAssertEqual(route.handle(.audio, atMs: 900), [.problem(nil)])
    }

    func testAHeadsetThatDropsTo16KHzInMidStream() {
        var route = running()
        XCTAssertEqual(
            route.handle(.routeChanged(headset), atMs: 100), [.stopCapture, .inputInterrupted, .startCapture(headset)])
        XCTAssertEqual(route.handle(.captureStarted, atMs: 110), [.inputResumed])
        XCTAssertEqual(route.handle(.routeChanged(headset), atMs: 120), [], "the platform says it twice")
    }

    func testThePlatformStopsCaptureByItself() {
        var route = running()
        XCTAssertEqual(route.handle(.captureStopped, atMs: 100), [.stopCapture, .inputInterrupted, .readRoute])
        XCTAssertEqual(route.handle(.captureStopped, atMs: 101), [.readRoute])
        XCTAssertEqual(route.handle(.routeChanged(builtIn), atMs: 110), [.startCapture(builtIn)])
    }

    func testACallOverBluetooth() {
        var route = running()
        XCTAssertEqual(
            route.handle(.interruptionBegan, atMs: 100), [.stopCapture, .inputInterrupted, .pausePlayback, .problem(.interrupted)])
        XCTAssertEqual(route.handle(.interruptionBegan, atMs: 110), [])
        XCTAssertEqual(route.handle(.routeChanged(headset), atMs: 120), [], "the call has the microphone")
        XCTAssertEqual(route.handle(.tick, atMs: 60_000), [])
        XCTAssertEqual(route.handle(.interruptionEnded(shouldResume: false), atMs: 60_100), [], "the user decides")
        XCTAssertEqual(route.handle(.started, atMs: 61_000), [.resumePlayback, .readRoute])
        XCTAssertEqual(route.handle(.routeChanged(builtIn), atMs: 61_000), [.startCapture(builtIn)])
    }

    func testAnInterruptionWhoseEndIsNeverTold() {
        var route = running()
        _ = route.handle(.interruptionBegan, atMs: 100)
        XCTAssertEqual(route.handle(.appActive, atMs: 5_000), [.resumePlayback, .readRoute])
        var another = running()
        _ = another.handle(.interruptionBegan, atMs: 100)
        XCTAssertEqual(another.handle(.interruptionEnded(shouldResume: true), atMs: 200), [.resumePlayback, .readRoute])
        XCTAssertEqual(another.handle(.appActive, atMs: 300), [])
    }

    func testTheMicrophoneIsTakenAway() {
        var route = running()
        XCTAssertEqual(route.handle(.tick, atMs: 2_019), [])
        XCTAssertEqual(route.handle(.tick, atMs: 2_020), [.stopCapture, .inputInterrupted, .problem(.silent)])
        XCTAssertEqual(route.handle(.tick, atMs: 2_300), [.readRoute])
        XCTAssertEqual(route.handle(.routeChanged(builtIn), atMs: 2_300), [.startCapture(builtIn)])
        XCTAssertEqual(route.handle(.captureFailed("busy"), atMs: 2_310), [.stopCapture, .problem(.startFailed("busy"))])
        XCTAssertEqual(route.handle(.permission(false), atMs: 2_400), [.problem(.notPermitted)])
        XCTAssertEqual(route.handle(.tick, atMs: 60_000), [], "only the user can change that")
        XCTAssertEqual(route.handle(.permission(true), atMs: 60_001), [.readRoute])
        XCTAssertEqual(route.handle(.servicesReset, atMs: 60_100), [.rebuild, .readRoute])
        XCTAssertEqual(route.handle(.stopped, atMs: 60_200), [.problem(nil)])
        XCTAssertEqual(route.handle(.captureStarted, atMs: 60_300), [.stopCapture], "a start that comes too late")
    }

    /// Any order of 300,000 notifications: no format that would crash is started, and a microphone that is wanted and can be had is being started,
    /// runs, or is waited for with the host told.
    func testNoOrderOfNotificationsLeavesADeadMicrophone() {
        var random = SplitMix(state: 16)
        let formats = [builtIn, headset, none, AudioFormat(rate: 44_100, channels: 0), AudioFormat(rate: .nan, channels: 1)]
        for _ in 0..<1_000 {
            var (route, nowMs, problem) = (AudioRouteController(), UInt64(0), MicrophoneProblem?.none)
            var log: [AudioRouteController.Event] = []
            func give(_ event: AudioRouteController.Event) -> [AudioRouteController.Action] {
                log.append(event)
                let actions = route.handle(event, atMs: nowMs)
                for action in actions {
                    if case .startCapture(let format) = action { XCTAssertTrue(format.isUsable, "\(log)") }
                    if case .problem(let next) = action { problem = next }
                }
                return actions
            }
            for _ in 0..<300 {
                nowMs += .random(in: 0...1_500, using: &random)
                let events: [AudioRouteController.Event] = [
                    .started, .stopped, .routeChanged(formats.randomElement(using: &random)!), .interruptionBegan,
                    .interruptionEnded(shouldResume: .random(using: &random)), .servicesReset, .appActive, .permission(.random(using: &random)), .captureStopped,
                    .captureStarted, .captureFailed("no"), .audio, .tick,
                ]
                _ = give(events.randomElement(using: &random)!)
            }
            // Then the platform answers, and within twelve seconds audio comes.
            var isCapturing = false
            func answer(_ event: AudioRouteController.Event) {
                for action in give(event) {
                    switch action {
                    case .readRoute: answer(.routeChanged(builtIn))
                    case .startCapture:
                        isCapturing = true
                        answer(.captureStarted)
                    case .stopCapture: isCapturing = false
                    default: break
                    }
                }
            }
            answer(.permission(true))
            answer(.started)
            for _ in 0..<24 {
                nowMs += 500
                if isCapturing { answer(.audio) }
                answer(.tick)
            }
            XCTAssertTrue(isCapturing, "\(log.suffix(60))")
            XCTAssertNil(problem, "\(log.suffix(60))")
        }
    }
}

/// Random numbers that are the same in every run.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        let mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        return mixed ^ (mixed >> 31)
    }
}
