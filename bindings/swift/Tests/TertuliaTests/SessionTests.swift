import TertuliaTestSupport
import XCTest

/// Sessions in the store, handles, and the end of a process.
final class SessionTests: XCTestCase {
    private var store = ""
    private var directory = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        directory = try folder()
        store = directory.appendingPathComponent("sessions.redb").path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: directory) }

    private func turn(_ session: TertuliaSession, _ text: String) async throws {
        try session.send(text)
        let end = try await session.until(\.isTurnEnd).last!.kind
        guard case .turnFinished = end else { return XCTFail("\(end)") }
    }

    func testHistoryExportAndImport() async throws {
        let engine = try await engine(store: store)
        let session = try await engine.createSession(config())
        try session.pushAudio(second, rate: 16_000)
        try session.endUtterance()
        try await session.until(\.isTurnEnd)
        try await turn(session, "¿Qué tal?")
        let audio = try await engine.audio(of: session.id, turn: 1, kind: .user)
        XCTAssertEqual(audio.samples.count, 16_000)
        let archive = directory.appendingPathComponent("sesión 🙂.zip")
        let exported = try await engine.exportSession(session.id, to: archive)
        XCTAssertEqual(exported.turns, 2)
        let newId = "01900000-0000-7000-8000-000000000001"
        let imported = try await engine.importSession(from: archive, newId: newId)
        XCTAssertEqual(imported.session, newId)
        let turns = try await engine.turns(of: newId).turns
        XCTAssertEqual(turns.map(\.userText), ["Hola, me llamo Ana.", "¿Qué tal?"])
        XCTAssertEqual(turns[0].state, .finished)
        let page = try await engine.sessions(SessionQuery(text: "LLAMO"), limit: 1)
        XCTAssertEqual(page.sessions.count, 1)
        XCTAssertNotNil(page.next)
        let verified = try await engine.verifyStore()
        XCTAssertEqual(verified.damaged, [])
        XCTAssertEqual(verified.sessions, 2)
        try await engine.deleteSession(newId)
        try await engine.compactStore()
        await assertThrows(.sessionNotFound) { () async throws(TertuliaError) in _ = try await engine.session(newId) }
        try session.close()
        try await session.until(\.isClosed)
        let after = try await session.events.makeAsyncIterator().next()
        XCTAssertNil(after)
        try await engine.shutDown()
    }

    func testASessionGoesOnAfterTheProcessWasKilled() async throws {
        let output = Pipe()
        let process = try probe("kill", store, output: output)
        let id = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).prefix(36)
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .uncaughtSignal)

        let engine = try await engine(store: store)
        let session = try await engine.openSession(String(id), update: SessionUpdate(playback: .assumed))
        let opened = try await session.until { _ in true }
        guard case .sessionOpened(resumed: true, turns: 2) = opened[0].kind else { return XCTFail("\(opened)") }
        let turns = try await engine.turns(of: String(id)).turns
        XCTAssertEqual(turns.map(\.state), [.finished, .interrupted(reason: .crash)])
        try await session.retry(turn: 2)
        let again = try await session.until(\.isTurnEnd)
        guard case .turnFinished = again.last!.kind else { return XCTFail("\(again.last!)") }
        try await engine.shutDown()
    }

    func testHandlesThatAreLeftDoNotHoldTheStore() async throws {
        let first = try await engine(store: store)
        let session = try await first.createSession(config())
        let events = session.events
        await assertThrows(.storeLocked) { () async throws(TertuliaError) in
            _ = try await TertuliaEngine.open(options: hostOptions(store: self.store))
        }
        let running = try await first.shutDown()
        XCTAssertEqual(running, [])
        let next = try await engine(store: store)
        await assertThrows(.engineClosed) { () async throws(TertuliaError) in try session.interrupt() }
        let again = try await next.openSession(session.id)
        try await turn(again, "uno")
        try await next.shutDown()
        _ = (first, events)
    }

    func testReleasedHandlesDoNotHoldTheStoreNorBackends() async throws {
        let backend = Recorded<Weak?>(nil)
        try await {
            let token = Recorded("!")
            backend.change { $0 = Weak(token) }
            let engine = try await engine(store: store, chat: ScriptedChat { _, push in push("Hola\(token.value)") })
            let session = try await engine.createSession(config())
            try await turn(session, "uno")
        }()
        for _ in 0..<500 where backend.value?.object != nil { try await Task.sleep(for: .milliseconds(10)) }
        XCTAssertNil(backend.value?.object, "the chat model lives on")
        let again = try await engine(store: store)
        let sessions = try await again.sessions().sessions
        XCTAssertEqual(sessions.map(\.turns), [1])
        try await again.shutDown()
    }

    func testTheLogHasALineOfAFailureWithoutWords() async throws {
        let lines = Recorded<[String]>([])
        try TertuliaLog.set({ level, _, line in lines.change { $0.append("\(level): \(line)") } }, levelMax: .trace)
        let engine = try await engine(chat: ScriptedChat { _, _ in throw TertuliaError(.chatFailed) })
        let session = try await engine.createSession(config())
        try session.send("secreto")
        try await session.until(\.isTurnEnd)
        let failures = { lines.value.filter { $0.hasPrefix("warning: ") && $0.contains("ChatFailed") }.count }
        XCTAssertEqual(failures(), 1, "\(lines.value)")
        XCTAssertFalse(lines.value.contains { $0.contains("secreto") }, "\(lines.value)")
        try TertuliaLog.set(nil)
        try session.send("secreto")
        try await session.until(\.isTurnEnd)
        XCTAssertEqual(failures(), 1)
        try await engine.shutDown()
    }

    func testOneTaskReadsAndACancelledOneEnds() async throws {
        let engine = try await engine()
        let session = try await engine.createSession(config())
        let reader = Task { () -> Int in
            var count = 0
            for try await _ in session.events { count += 1 }
            return count
        }
        try await Task.sleep(for: .milliseconds(100))
        await assertThrows(.eventsTaken) { () async throws(TertuliaError) in _ = try await session.events.makeAsyncIterator().next() }
        reader.cancel()
        let count = try await reader.value
        XCTAssertEqual(count, 1, "session_opened")
        try await turn(session, "uno")
        try await engine.shutDown()
    }

    func testAJobEndsWithItsTask() async throws {
        let engine = try await engine(voice: ScriptedVoice(before: { _ in try await Task.sleep(for: .milliseconds(50)) }))
        let text = [String](repeating: "palabra", count: 2_000).joined(separator: " ")
        let job = try engine.synthesize(SynthesisRequest(text: text, languages: ["es"]))
        let task = Task { for try await _ in job {} }
        try await Task.sleep(for: .milliseconds(200))
        task.cancel()
        let result = await task.result
        guard case .failure(let error as TertuliaError) = result else { return XCTFail("\(result)") }
        XCTAssertEqual(error.code, .cancelled)

        var spoken = ""
        let short = "Uno 🙂 tres."
        for try await chunk in try engine.synthesize(SynthesisRequest(text: short, languages: ["es"])) {
            spoken += short[utf16: chunk.textRange]!
        }
        XCTAssertEqual(spoken, short)
        try await engine.shutDown()
    }

    func testErrorsAreTyped() async throws {
        await assertThrows(.invalidArgument) { () async throws(TertuliaError) in
            _ = try await TertuliaEngine.open(options: EngineOptions(key: Data([1])))
        }
        let engine = try await engine()
        await assertThrows(.invalidConfig) { () async throws(TertuliaError) in
            _ = try await engine.createSession(SessionConfig(native: "??", target: "es"))
        }
        let session = try await engine.createSession(config())
        await assertThrows(.audioInvalidRate) { () async throws(TertuliaError) in try session.pushAudio(second, rate: 0) }
        await assertThrows(.invalidArgument) { () async throws(TertuliaError) in try session.pushAudio(Data([1, 2, 3]), rate: 16_000) }
        await assertThrows(.textEmpty) { () async throws(TertuliaError) in try session.send(" ") }
        do {
            try await ModelStore().verify("no-such-model")
            XCTFail("no error")
        } catch { XCTAssertTrue([.unsupported, .modelUnknown].contains(error.code), "\(error)") } // without and with models
        do { _ = try SessionConfig(json: "{\"nativ\":1}") } catch {
            XCTAssertEqual(error.number, 200)
            XCTAssertTrue(error.detail.contains("nativ"), error.detail)
        }
        try await engine.shutDown()
        await assertThrows(.engineClosed) { () async throws(TertuliaError) in _ = try await engine.sessions() }
    }

    func testEveryStageStopsAThousandTimes() async throws {
        let stage = Recorded(0)
        let engine = try await engine(
            store: store,
            recognizer: ScriptedRecognizer { _, partials in
                if stage.value == 1 { try await forever() }
                return SpeechTranscript(text: "Hola.")
            },
            chat: ScriptedChat { _, push in
                if stage.value == 2 { try await forever() }
                push("Uno dos ")
                if stage.value == 3 { try await forever() }
                push("tres.")
            },
            voice: ScriptedVoice(before: { request in if stage.value == 4 { try await forever() } }))
        for run in 0..<1_000 {
            stage.change { $0 = run % 7 }
            let session = try await engine.createSession(config(playback: run % 7 == 5 ? .reported : .assumed))
            try session.pushAudio(second, rate: 16_000)
            if run % 7 > 0 { try session.endUtterance() }
            switch run % 7 {
            case 1: try await session.until(\.isTurnStart)
            case 2: try await session.until(\.isTranscript)
            case 3, 4: try await session.until(\.isText)
            case 5: try await session.until(\.isAudio)
            case 6: try await session.until(\.isTurnEnd)
            default: break
            }
            try session.interruptAll()
            try session.close()
            try await session.until(\.isClosed)
        }
        let running = try await engine.shutDown()
        XCTAssertEqual(running, [])
    }

    func testTheProcessEndsWhateverIsOpen() async throws {
        for way in ["nothing", "reader", "job", "callback", "model"] { for last in ["exit", "shut"] {
            let process = try probe(way, directory.appendingPathComponent("\(way).redb").path, last)
            let begun = ContinuousClock.now
            while process.isRunning, begun.duration(to: .now) < .seconds(10) { try await Task.sleep(for: .milliseconds(10)) }
            XCTAssertFalse(process.isRunning, way)
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
            XCTAssertEqual(process.terminationReason, .exit, way)
            XCTAssertEqual(process.terminationStatus, 0, way)
        } }
    }
}

/// A reference that does not hold its object.
private struct Weak: @unchecked Sendable {
    weak var object: AnyObject?
    init(_ object: AnyObject) { self.object = object }
}
