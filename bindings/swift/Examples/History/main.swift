import Foundation
import Tertulia

// Practice history: sessions in a store, their turns, a search, and an archive.
let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tertulia-history-\(UUID())")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: folder) }

let none = ModelChoices(vad: "none", turnDetector: "none", recognizer: "none", chat: "none", synthesizer: "none")
let options = EngineOptions(store: folder.appendingPathComponent("sessions.redb").path, models: none)
let engine = try await TertuliaEngine.open(options: options, backends: HostBackends(chat: Tutor()))
let session = try await engine.createSession(SessionConfig(native: "en", target: "es", playback: .assumed))
try session.send("Me llamo Ana.")
// The turn is in the store before its end is told, even where no voice speaks the reply.
for try await event in session.events {
    if case .turnFinished = event.kind { break }
    if case .turnFailed = event.kind { break }
}
try session.close()

var cursor: SessionCursor?
repeat {
    let page = try await engine.sessions(after: cursor, limit: 20)
    for session in page.sessions { print("\(session.turns) turn: \(session.title)") }
    cursor = page.next
} while cursor != nil
for turn in try await engine.turns(of: session.id).turns {
    print("you: \(turn.userText)\ntutor: \(turn.replyText)")
}
print("found: \(try await engine.sessions(SessionQuery(text: "llamo")).sessions.count)")
let report = try await engine.exportSession(session.id, to: folder.appendingPathComponent("session.zip"))
print("exported: \(report.turns) turn, \(report.bytes) bytes")
try await engine.shutDown()

struct Tutor: ChatModel {
    var info: ChatModelInfo { ChatModelInfo(name: "tutor", languages: ["en", "es"]) }

    func reply(to request: ChatRequest) -> AsyncThrowingStream<String, any Error> {
        AsyncThrowingStream { parts in
            parts.yield("Mucho gusto, Ana.")
            parts.finish()
        }
    }
}
