import Foundation
public import TertuliaGenerated

/// The folder of model files. With a library without models every call throws `unsupported`.
public final class ModelStore: Sendable {
    private let store: TertuliaGenerated.ModelStore

    /// The model files in a folder; nil for the platform's place for them.
    public init(folder: URL? = nil) { store = TertuliaGenerated.ModelStore(folder: folder?.path) }

    /// The models that the library knows.
    public func list() async throws(TertuliaError) -> [ModelInfo] { try await blockingCall { [store] in try store.list() } }

    /// The files that a pull of these models (none for the default ones) would fetch.
    public func plan(_ names: [String] = []) async throws(TertuliaError) -> PullPlan {
        try await blockingCall { [store] in try store.plan(names: names) }
    }

    /// Fetches these models (none for the default ones). A pull that was cancelled goes on with the next one.
    public func pull(_ names: [String] = []) throws(TertuliaError) -> EngineJob<PullProgress> {
        EngineJob(try call { try store.pull(names: names) }) { if case .pull(let progress) = $0 { progress } else { nil } }
    }

    /// Copies a GGUF file of the host's to its place as the model `name`, and checks it.
    public func install(_ name: String, from file: URL) async throws(TertuliaError) {
        try await blockingCall { [store] in try store.install(name: name, path: file.path) }
    }

    /// Removes a model's files.
    public func remove(_ name: String) async throws(TertuliaError) { try await blockingCall { [store] in try store.remove(name: name) } }

    /// Reads a model's file, and compares its hash.
    public func verify(_ name: String) async throws(TertuliaError) { try await blockingCall { [store] in try store.verify(name: name) } }
}
