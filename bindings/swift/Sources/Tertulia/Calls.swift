import Dispatch
import Foundation

/// A call of the library, with the error of this layer.
func call<T>(_ work: () throws -> T) throws(TertuliaError) -> T {
    do { return try work() } catch { throw TertuliaError(error) }
}

/// Threads for calls that read the disk, compute or wait: they must not hold up Swift's own threads, of which there are as many as processors.
private let waiting = DispatchQueue(label: "tertulia.calls", attributes: .concurrent)

/// A call of the library on a thread on which it may wait.
func blockingCall<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws(TertuliaError) -> T {
    let result: Result<T, TertuliaError> = await withCheckedContinuation { continuation in
        waiting.async {
            continuation.resume(returning: Result { () throws(TertuliaError) in try call(work) })
        }
    }
    return try result.get()
}

/// Starts a task of a backend of the host's, on threads of its own where the platform can: one that waits blocks no other task.
func backendTask(_ work: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
    if #available(macOS 15, iOS 18, tvOS 18, watchOS 11, visionOS 2, *) {
        Task(executorPreference: BackendExecutor.shared) { await work() }
    } else {
        Task.detached { await work() }
    }
}

@available(macOS 15, iOS 18, tvOS 18, watchOS 11, visionOS 2, *)
private final class BackendExecutor: TaskExecutor {
    static let shared = BackendExecutor()
    private let queue = DispatchQueue(label: "tertulia.backends", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

extension Duration {
    /// Whole milliseconds, at least 0.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        return seconds < 0 ? 0 : UInt64(seconds) * 1_000 + UInt64(max(attoseconds, 0) / 1_000_000_000_000_000)
    }
}
