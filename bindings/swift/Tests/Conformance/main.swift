import Foundation
import Tertulia
import TertuliaGenerated

// Lives through the conformance scenarios (bindings/conformance/README.md) by the calls of this package, and prints the name of each that it ran.
// usage: TertuliaConformance FOLDER    the folder bindings/conformance

/// The host of one run.
final class Host {
    private var engine: Tertulia.TertuliaEngine?
    private var session: Tertulia.TertuliaSession?

    /// The difference to what is expected, if there is one.
    func live(_ run: ConformanceRun) async throws -> String? {
        var result = ActionResult.nothing
        while let action = try run.next(result: result) {
            do throws(Tertulia.TertuliaError) { result = try await act(action) } catch { result = .failed(number: error.number) }
        }
        return try run.finish()
    }

    private func act(_ action: HostAction) async throws(Tertulia.TertuliaError) -> ActionResult {
        switch action {
        case .takeEngine(let taken): engine = Tertulia.TertuliaEngine(taken)
        case .openEngine(let store):
            let none = ModelChoices(vad: "none", turnDetector: "none", recognizer: "none", chat: "none", synthesizer: "none")
            engine = try await .open(options: EngineOptions(store: store, models: none))
        case .takeSession(let id): session = try engine!.handle(of: id)
        case .apply(let command): return .json(json: try await engine!.apply(command))
        case .readEvent: return try session!.pollEvent().map { .event(event: $0.generated) } ?? .nothing
        case .pushAudio(let pcm, let channels, let rate):
            try session!.pushInterleaved(pcm, channels: channels, rate: rate)
        case .pushEncoded(let bytes): try session!.pushEncoded(bytes)
        case .readAudio(let id, let turn, let kind): return .audio(audio: try await engine!.audio(of: id, turn: turn, kind: kind))
        case .exportSession(let id, let path):
            return .item(item: .exported(report: try await engine!.exportSession(id, to: URL(fileURLWithPath: path))))
        case .importSession(let path, let newId):
            return .item(item: .imported(report: try await engine!.importSession(from: URL(fileURLWithPath: path), newId: newId)))
        }
        return .nothing
    }
}

let folder = URL(fileURLWithPath: CommandLine.arguments[1])
var failures = 0
@MainActor func report(_ name: String, _ difference: String?) {
    guard let difference else { return }
    failures += 1
    FileHandle.standardError.write(Data("\(name): \(difference)\n".utf8))
}

let files = try FileManager.default.contentsOfDirectory(at: folder.appendingPathComponent("scenarios"), includingPropertiesForKeys: nil)
for file in files.filter({ $0.pathExtension == "json" }).sorted(by: { $0.path < $1.path }) {
    let name = file.deletingPathExtension().lastPathComponent
    report(name, try await Host().live(.scenario(json: String(contentsOf: file, encoding: .utf8))))
    print(name)
}

let copy = FileManager.default.temporaryDirectory.appendingPathComponent("tertulia-golden-\(UUID())")
try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
let store = copy.appendingPathComponent("golden.redb")
try FileManager.default.copyItem(at: folder.appendingPathComponent("golden.redb"), to: store)
let reads = try String(contentsOf: folder.appendingPathComponent("golden.json"), encoding: .utf8)
report("golden store", try await Host().live(.golden(json: reads, store: store.path)))
try FileManager.default.removeItem(at: copy)
exit(failures == 0 ? 0 : 1)
