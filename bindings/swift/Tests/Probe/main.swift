import TertuliaTestSupport

// Ends in a way in which an app can end. usage: TertuliaProbe WAY [STORE]
let way = CommandLine.arguments.dropFirst().first ?? ""
let store = CommandLine.arguments.dropFirst(2).first

/// A recogniser that holds its thread for good.
func hang() { DispatchSemaphore(value: 0).wait() }

/// An engine with the library's recogniser and its voice activity detection, both loaded; nil where it has none.
func loaded() async throws(TertuliaError) -> TertuliaEngine? {
    do {
        _ = try await ModelStore().list()
        let models = ModelChoices(turnDetector: "none", chat: "none", synthesizer: "none")
        let engine = try TertuliaEngine(options: EngineOptions(modelFolder: "/models", models: models), backends: HostBackends())
        try await engine.preload()
        return engine
    } catch {
        guard error.code == .unsupported || error.code == .modelMissing else { throw error }
        print("skipped: the library has no models, or their files are not there: \(error)")
        return nil
    }
}

/// Ends the process, after the engine has been shut down where the way says so.
func end(_ engine: TertuliaEngine) async throws(TertuliaError) -> Never {
    if CommandLine.arguments.last == "shut" { _ = try await engine.shutDown(deadline: .seconds(1)) }
    exit(0)
}

if way == "model" {
    guard let engine = try await loaded() else { exit(0) }
    try await end(engine)
}

let engine = try TertuliaEngine(
    options: hostOptions(store: store),
    backends: HostBackends(
        recognizer: ScriptedRecognizer { _, _ in
            if way == "callback" { hang() }
            return SpeechTranscript(text: "dos")
        },
        chat: ScriptedChat("Hola, ", "¿qué tal?"),
        synthesizer: ScriptedVoice(before: { _ in if way == "job" { try await forever() } })))
let session = try await engine.createSession(config(playback: way == "kill" ? .reported : .assumed))

switch way {
case "job":
    let job = try engine.synthesize(SynthesisRequest(text: "uno dos", languages: ["es"]))
    Task { for try await _ in job {} }
    try await Task.sleep(for: .milliseconds(100))
case "callback":
    try session.pushAudio(second, rate: 16_000)
    try session.endUtterance()
    try await Task.sleep(for: .milliseconds(200))
case "reader":
    Task { for try await _ in session.events {} }
    try await Task.sleep(for: .milliseconds(100))
case "nothing":
    break
case "kill":
    // One turn that is finished, and one that is stored (its transcript came) and in the middle of its reply; then the test kills this process.
    try session.send("uno")
    var turns = 0
    for try await event in session.events {
        if case .replyAudioDone(let total) = event.kind, turns == 0 { try session.played(turn: event.turn!, samplesTotal: total) }
        if case .turnFinished = event.kind {
            try session.pushAudio(second, rate: 16_000)
            try session.endUtterance()
        }
        if case .replyAudioDelta = event.kind, event.turn == 2, turns == 1 {
            print(session.id)
            fflush(nil)
        }
        if case .turnStarted = event.kind { turns = Int(event.turn!) - 1 }
    }
default:
    fatalError("an unknown way: \(way)")
}
try await end(engine)
