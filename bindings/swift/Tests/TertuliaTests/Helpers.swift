import TertuliaTestSupport
import XCTest

/// An engine on the host's backends, and what it takes to wait for its events.
func engine(
    store: String? = nil, recognizer: ScriptedRecognizer = ScriptedRecognizer("Hola, me llamo Ana."),
    chat: ScriptedChat = ScriptedChat("¡Encantado, ", "Ana! 🙂 ¿Qué tal?"), voice: ScriptedVoice = ScriptedVoice(), vad: LevelVad? = nil
) async throws -> TertuliaEngine {
    try await TertuliaEngine.open(
        options: hostOptions(store: store),
        backends: HostBackends(vad: vad, recognizer: recognizer, chat: chat, synthesizer: voice))
}

struct TimedOut: Error {}

/// Does work with a deadline.
func within<T: Sendable>(_ duration: Duration = .seconds(20), _ work: @escaping @Sendable () async throws -> T) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: duration)
            throw TimedOut()
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}

extension TertuliaSession {
    /// Reads events up to one that matches, and gives all of them.
    @discardableResult
    func until(_ matches: @escaping @Sendable (TertuliaEventKind) -> Bool) async throws -> [TertuliaEvent] {
        try await within { [self] in
            var read: [TertuliaEvent] = []
            for try await event in events {
                read.append(event)
                if matches(event.kind) { return read }
            }
            throw TimedOut()
        }
    }
}

extension TertuliaEventKind {
    var isTurnEnd: Bool {
        switch self {
        case .turnFinished, .turnInterrupted, .turnFailed: true
        default: false
        }
    }

    var isClosed: Bool { if case .sessionClosed = self { true } else { false } }
    var isAudio: Bool { if case .replyAudioDelta = self { true } else { false } }
    var isTurnStart: Bool { if case .turnStarted = self { true } else { false } }
    var isText: Bool { if case .replyTextDelta = self { true } else { false } }
    var isTranscript: Bool { if case .transcriptDone = self { true } else { false } }
    var failure: TertuliaError? { if case .turnFailed(_, let error) = self { error } else { nil } }
}

/// The call throws this code.
func assertThrows(_ code: ErrorCode, file: StaticString = #filePath, line: UInt = #line, _ work: () async throws(TertuliaError) -> Void) async {
    do {
        try await work()
        XCTFail("no error; \(code) was expected", file: file, line: line)
    } catch { XCTAssertEqual(error.code, code, "\(error)", file: file, line: line) }
}

/// A folder of one test.
func folder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tertulia-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// Starts the helper executable beside the tests' own.
func probe(_ arguments: String..., output: Pipe? = nil) throws -> Process {
    let process = Process()
    process.executableURL = Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("TertuliaProbe")
    if !FileManager.default.isExecutableFile(atPath: process.executableURL!.path) {
        process.executableURL = Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent().appendingPathComponent("TertuliaProbe") }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }
    process.arguments = arguments
    process.standardOutput = output
    try process.run()
    return process
}
