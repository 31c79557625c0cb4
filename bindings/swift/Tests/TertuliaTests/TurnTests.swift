import TertuliaTestSupport
import XCTest

/// Turns on backends written in Swift.
final class TurnTests: XCTestCase {
    func testASpokenTurnWithTextsInUtf16() async throws {
        let asked = Recorded<[Int]>([])
        let engine = try await engine(
            recognizer: ScriptedRecognizer { request, partials in
                asked.change { $0.append(request.samples.count) }
                try partials.push("Hola 🙂 me", stable: NSRange(location: 0, length: 7))
                return SpeechTranscript(text: "Hola 🙂, me llamo Zoë.")
            })
        let session = try await engine.createSession(config())
        try second.withUnsafeBufferPointer { try session.pushAudio($0, rate: 16_000) }
        try session.pushAudio([Int16](repeating: 3_000, count: 8_000), rate: 16_000)
        let turn = try session.endUtterance()
        let events = try await session.until(\.isTurnEnd)
        XCTAssertEqual(events.map(\.seq), Array(1...UInt64(events.count)))
        XCTAssertEqual(turn, 1)

        let whole = "¡Encantado, Ana! 🙂 ¿Qué tal?"
        guard case .turnFinished(whole) = events.last!.kind else { return XCTFail("\(events.last!)") }
        let stable = events.compactMap { if case .transcriptPartial(let text, let stable) = $0.kind { text[utf16: stable] } else { nil } }
        XCTAssertEqual(stable, ["Hola 🙂"])
        let audio = events.compactMap { if case .replyAudioDelta(let audio) = $0.kind { audio } else { nil } }
        XCTAssertEqual(audio.map { String(whole[utf16: $0.textRange]!) }.joined(), whole)
        XCTAssertEqual(audio.flatMap { $0.words.map { String(whole[utf16: $0.textRange]!) } }, ["¡Encantado,", "Ana!", "¿Qué", "tal?"], "an emoji is not spoken")
        XCTAssertTrue(audio.allSatisfy { $0.rate == 8_000 && $0.samples.allSatisfy { $0 == 0.1 } })
        XCTAssertEqual(audio[0].withSamples { $0.count }, audio[0].samples.count)
        XCTAssertGreaterThan(asked.value.max() ?? 0, 20_000)
        XCTAssertTrue(events.last!.json.contains("\"type\":\"turn_finished\""))
        try await engine.shutDown()
    }

    func testAnErrorOfABackendComesWithItsText() async throws {
        struct Odd: Error, CustomStringConvertible { var description: String { "the cloud is away" } }
        let failure = Recorded<any Error>(Odd())
        let engine = try await engine(chat: ScriptedChat { _, push in
            push("Ho")
            throw failure.value
        })
        let session = try await engine.createSession(config())
        try session.send("Hola")
        var error = try await session.until(\.isTurnEnd).last!.kind.failure
        XCTAssertEqual(error?.code, .hostCallback)
        XCTAssertTrue(error?.detail.contains("the cloud is away") == true, "\(String(describing: error))")

        failure.change { $0 = TertuliaError(.contextFull, detail: "too long") }
        try session.send("Hola")
        error = try await session.until(\.isTurnEnd).last!.kind.failure
        XCTAssertEqual(error?.code, .contextFull)
        XCTAssertEqual(error?.detail.contains("too long"), true)
        try await engine.shutDown()
    }

    func testCancellationReachesABackend() async throws {
        let cancelled = expectation(description: "cancelled")
        let engine = try await engine(chat: ScriptedChat { _, push in
            push("Hola ")
            do { try await forever() } catch {
                cancelled.fulfill()
                throw error
            }
        })
        let session = try await engine.createSession(config())
        try session.send("Hola")
        try await session.until(\.isText)
        try session.interrupt()
        await fulfillment(of: [cancelled], timeout: 5)
        let end = try await session.until(\.isTurnEnd).last!.kind
        guard case .turnInterrupted(reason: .cancel, _, _) = end else { return XCTFail("\(end)") }
        try await engine.shutDown()
    }

    func testCancellationWakesABackendAtOnce() async throws {
        let woken = Recorded<ContinuousClock.Instant?>(nil)
        let engine = try await engine(chat: ScriptedChat { _, push in
            push("Hola ")
            do { try await forever() } catch {
                woken.change { $0 = .now }
                throw error
            }
        })
        let session = try await engine.createSession(config())
        var took: [Duration] = []
        for _ in 0..<20 {
            woken.change { $0 = nil }
            try session.send("Hola")
            try await session.until(\.isText)
            let start = ContinuousClock.now
            try session.interrupt()
            try await session.until(\.isTurnEnd)
            for _ in 0..<500 where woken.value == nil { try await Task.sleep(for: .milliseconds(10)) }
            took.append(try XCTUnwrap(woken.value) - start)
        }
        XCTAssertLessThan(took.sorted()[5], .milliseconds(5), "\(took)")
        try await engine.shutDown()
    }

    func testAnAnswerThatWasGivenIsNotCancelled() async throws {
        let cancelled = Recorded(0)
        let engine = try await engine(
            recognizer: ScriptedRecognizer { _, _ in
                defer { if Task.isCancelled { cancelled.change { $0 += 1 } } }
                return SpeechTranscript(text: "Hola.")
            },
            chat: ScriptedChat { _, push in
                push("Hola.")
                if Task.isCancelled { cancelled.change { $0 += 1 } }
            })
        let session = try await engine.createSession(config())
        for _ in 0..<50 {
            try session.pushAudio(second, rate: 16_000)
            try session.endUtterance()
            try await session.until(\.isTurnEnd)
        }
        XCTAssertEqual(cancelled.value, 0)
        try await engine.shutDown()
    }

    /// The hung recognitions hold their threads, more than Swift has for tasks.
    func testAHungBackendBlocksNoOther() async throws {
        let release = DispatchSemaphore(value: 0)
        let engine = try await engine(recognizer: ScriptedRecognizer { _, _ in
            hold(release)
            return SpeechTranscript(text: "too late")
        })
        let hung = ProcessInfo.processInfo.activeProcessorCount + 2
        for _ in 0..<hung {
            let session = try await engine.createSession(config())
            try session.pushAudio(second, rate: 16_000)
            try session.endUtterance()
        }
        let other = try await engine.createSession(config())
        try other.send("Hola")
        let end = try await other.until(\.isTurnEnd).last!.kind
        guard case .turnFinished = end else { return XCTFail("\(end)") }
        let begun = ContinuousClock.now
        try await engine.shutDown(deadline: .seconds(2))
        XCTAssertLessThan(begun.duration(to: .now), .seconds(4))
        for _ in 0..<hung { release.signal() }
    }

    func testBargeInGivesTheHeardText() async throws {
        let engine = try await engine(chat: ScriptedChat("Uno 🙂 dos tres cuatro."), vad: LevelVad())
        let session = try await engine.createSession(
            config(playback: .reported, listening: Listening(mode: .continuous, interruptMs: 100)))
        let turn = try session.send("Hola")
        let before = try await session.until { if case .replyAudioDone = $0 { true } else { false } }
        let words: [SpokenWord] = before.flatMap { event -> [SpokenWord] in if case .replyAudioDelta(let audio) = event.kind { audio.words } else { [] } }
        try session.played(turn: turn, samplesTotal: words[1].samples.upperBound)
        try session.pushAudio((0..<16_000).map { sin(Float($0) * 0.4) * 0.5 }, rate: 16_000)
        let after = try await session.until { $0.isTurnEnd || $0 == .playbackFlush }
        if after.last!.kind == .playbackFlush {
            try session.played(turn: turn, samplesTotal: words[1].samples.upperBound)
        }
        let end = after.last!.kind.isTurnEnd ? after.last!.kind : try await session.until(\.isTurnEnd).last!.kind
        guard case .turnInterrupted(reason: .bargeIn, let heard, isEstimated: false) = end else { return XCTFail("\(end)") }
        XCTAssertEqual(heard.trimmingCharacters(in: .whitespaces), "Uno 🙂 dos")
        try await engine.shutDown()
    }
}

/// A blocking wait, which Swift does not let an async function make by itself.
private func hold(_ semaphore: DispatchSemaphore) { semaphore.wait() }

/// A value that a backend and a test share.
final class Recorded<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: Value
    init(_ value: Value) { stored = value }
    var value: Value { lock.withLock { stored } }
    func change(_ work: (inout Value) -> Void) { lock.withLock { work(&stored) } }
}
