import Foundation
public import TertuliaGenerated

/// An engine. `shutDown` ends it, and gives the store free whatever handles are left; without that it lasts until the last reference is gone.
///
/// Every call may come from any thread. Those that read the store, compute or wait are `async`, and take none of Swift's own threads.
public final class TertuliaEngine: Sendable {
    /// Events of the engine itself: models being loaded, errors outside sessions.
    public var events: EventReader { EventReader(source: source) }

    private let engine: TertuliaGenerated.TertuliaEngine
    private let source: EventSource

    /// Opens an engine, and its store. The host's own backends take the place of the options' models.
    public convenience init(options: EngineOptions = EngineOptions(), backends: HostBackends = HostBackends()) throws(TertuliaError) {
        self.init(try call { try TertuliaGenerated.TertuliaEngine(options: options, backends: backends.generated) })
    }

    package init(_ engine: TertuliaGenerated.TertuliaEngine) {
        self.engine = engine
        source = EventSource(
            .init(poll: { try engine.nextEvent(timeoutMs: 0) }, setWaker: { try engine.setWaker(waker: $0) }))
    }

    /// Opens an engine without holding up the caller's thread.
    public static func open(options: EngineOptions = EngineOptions(), backends: HostBackends = HostBackends())
        async throws(TertuliaError) -> TertuliaEngine
    {
        try await blockingCall { try TertuliaEngine(options: options, backends: backends) }
    }

    private func job<T>(_ start: () throws -> TertuliaGenerated.EngineJob, _ item: @escaping @Sendable (JobItem) -> T?)
        throws(TertuliaError) -> EngineJob<T>
    {
        EngineJob(try call(start), item: item)
    }

    private func task(_ start: () throws -> TertuliaGenerated.EngineJob) async throws(TertuliaError) {
        try await job(start) { _ in () }.finish()
    }

    // MARK: Sessions

    /// Creates a session and opens it. It stays open until it is closed or ended.
    public func createSession(_ config: SessionConfig) async throws(TertuliaError) -> TertuliaSession {
        try await blockingCall { [engine] in TertuliaSession(try engine.createSession(config: config)) }
    }

    /// Opens a stored session where it was left, with changes of its settings.
    public func openSession(_ id: String, update: SessionUpdate? = nil) async throws(TertuliaError) -> TertuliaSession {
        try await blockingCall { [engine] in TertuliaSession(try engine.openSession(session: id, update: update)) }
    }

    /// Another handle of an open session. Throws `sessionClosed` where it is not open.
    public func handle(of id: String) throws(TertuliaError) -> TertuliaSession {
        TertuliaSession(try call { try engine.sessionHandle(session: id) })
    }

    /// Closes a session without ending it.
    public func closeSession(_ id: String) throws(TertuliaError) { try call { try engine.closeSession(session: id) } }

    /// Ends a session for good.
    public func endSession(_ id: String) throws(TertuliaError) { try call { try engine.endSession(session: id) } }

    /// Deletes a session, which must not be open.
    public func deleteSession(_ id: String) async throws(TertuliaError) {
        try await blockingCall { [engine] in try engine.deleteSession(session: id) }
    }

    /// The sessions that match, the one that changed last first, in pages.
    public func sessions(_ query: SessionQuery? = nil, after: SessionCursor? = nil, limit: UInt32 = 50)
        async throws(TertuliaError) -> SessionPage
    {
        try await blockingCall { [engine] in try engine.sessions(query: query, after: after, limit: limit) }
    }

    /// A session as it is stored.
    public func session(_ id: String) async throws(TertuliaError) -> SessionRecord {
        try await blockingCall { [engine] in try engine.session(session: id) }
    }

    /// At most `limit` turns of a session, open or not, after the turn `after` or from the first on.
    public func turns(of id: String, after: UInt64? = nil, limit: UInt32 = 50) async throws(TertuliaError) -> TurnPage {
        try await blockingCall { [engine] in try engine.turns(session: id, after: after, limit: limit) }
    }

    /// The audio of a turn of a session, open or not.
    public func audio(of id: String, turn: UInt64, kind: AudioKind) async throws(TertuliaError) -> StoredAudio {
        try await blockingCall { [engine] in try engine.audio(session: id, turn: turn, kind: kind) }
    }

    /// Writes a session as an archive to a file.
    public func exportSession(_ id: String, to file: URL) async throws(TertuliaError) -> ExportReport {
        try await job({ try engine.exportSession(session: id, path: file.path) }) {
            if case .exported(let report) = $0 { report } else { nil }
        }.result()
    }

    /// Stores a session from an archive, under its own id or another.
    public func importSession(from file: URL, newId: String? = nil) async throws(TertuliaError) -> ImportReport {
        try await job({ try engine.importSession(path: file.path, newId: newId) }) {
            if case .imported(let report) = $0 { report } else { nil }
        }.result()
    }

    // MARK: Work without a session

    /// Transcribes mono samples as one utterance. One language forces it, several are chosen from, none for all.
    public func transcribe(_ samples: [Float], rate: UInt32, languages: [String] = []) async throws(TertuliaError) -> SpeechTranscript {
        try await transcript {
            try samples.withUnsafeBufferPointer {
                try withBytes(of: $0) { try engine.transcribe(pcm: $0, rate: rate, languages: languages) }
            }
        }
    }

    /// Transcribes a whole file (webm, mp4, ogg, wav, mp3 or flac).
    public func transcribe(file bytes: Data, languages: [String] = []) async throws(TertuliaError) -> SpeechTranscript {
        try await transcript { try engine.transcribeEncoded(bytes: bytes, languages: languages) }
    }

    private func transcript(_ start: () throws -> TertuliaGenerated.EngineJob) async throws(TertuliaError) -> SpeechTranscript {
        try await job(start) { if case .transcript(let transcript) = $0 { transcript } else { nil } }.result()
    }

    /// Events of a recording that is listened to as to an open microphone, with endpointing.
    public func listen(_ samples: [Float], rate: UInt32, languages: [String] = []) throws(TertuliaError) -> EngineJob<TertuliaEvent> {
        try job({
            try samples.withUnsafeBufferPointer {
                try withBytes(of: $0) { try engine.listen(pcm: $0, rate: rate, languages: languages) }
            }
        }) {
            if case .event(let event) = $0 { TertuliaEvent(event, replyText: "") } else { nil }
        }
    }

    /// Speaks a text.
    public func synthesize(_ request: SynthesisRequest) throws(TertuliaError) -> EngineJob<SpeechChunk> {
        let text = request.text
        return try job({ try engine.synthesize(request: request) }) {
            if case .speech(let chunk) = $0 { SpeechChunk(chunk, of: text) } else { nil }
        }
    }

    /// Loads every model, so that the first turn need not wait; `events` has the progress.
    public func preload() async throws(TertuliaError) { try await task { try engine.preload() } }

    // MARK: The store

    /// The space that the store takes.
    public func storeUsage() async throws(TertuliaError) -> StoreUsage { try await blockingCall { [engine] in try engine.storeUsage() } }

    /// Reads everything in the store and reports damage.
    public func verifyStore() async throws(TertuliaError) -> Verified {
        try await job({ try engine.verifyStore() }) { if case .checked(let report) = $0 { report } else { nil } }.result()
    }

    /// Gives the space of deleted data back to the file system.
    public func compactStore() async throws(TertuliaError) { try await task { try engine.compactStore() } }

    /// Deletes sessions so that no byte of them is left.
    public func eraseSessions(_ ids: [String]) async throws(TertuliaError) { try await task { try engine.eraseSessions(sessions: ids) } }

    /// Deletes everything in the store so that no byte is left.
    public func eraseEverything() async throws(TertuliaError) { try await task { try engine.eraseEverything() } }

    /// Gives the store another key of 32 bytes, or none.
    public func rotateStoreKey(_ key: Data?) async throws(TertuliaError) { try await task { try engine.rotateStoreKey(key: key) } }

    // MARK: The engine

    /// The engine's abilities, as its backends state them.
    public var capabilities: Capabilities { get throws(TertuliaError) { try call { try engine.capabilities() } } }

    /// Makes a call that a command in JSON stands for, and gives its answer in JSON (docs/schema).
    public func apply(_ commandJson: String) async throws(TertuliaError) -> String {
        try await blockingCall { [engine] in try engine.apply(commandJson: commandJson) }
    }

    /// Stops computing and closes the store, for an app that goes to the background. Gives what still runs at the deadline.
    @discardableResult
    public func suspend(deadline: Duration = .seconds(4)) async throws(TertuliaError) -> [EngineWorker] {
        try await blockingCall { [engine] in try engine.suspend(deadlineMs: deadline.milliseconds) }
    }

    /// Opens the store again and lets turns go on.
    public func resume() async throws(TertuliaError) { try await blockingCall { [engine] in try engine.resume() } }

    /// Closes every session, stores everything, and stops. Gives what still runs at the deadline: a backend of the host's that does not return.
    @discardableResult
    public func shutDown(deadline: Duration = .seconds(5)) async throws(TertuliaError) -> [EngineWorker] {
        try await blockingCall { [engine] in try engine.shutDown(timeoutMs: deadline.milliseconds) }
    }
}
