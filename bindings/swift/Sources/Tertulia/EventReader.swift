import Foundation
internal import TertuliaGenerated

/// The events of a session, or of the engine, in order and without gaps. One task reads: `eventsTaken` in another.
///
/// No thread waits: the library wakes the reader. The sequence ends after `sessionClosed`, and where the reading task is cancelled; a reader that
/// comes after it goes on where it stopped.
public struct EventReader: AsyncSequence, Sendable {
    public typealias Element = TertuliaEvent
    public typealias Failure = TertuliaError

    let source: EventSource

    public struct AsyncIterator: AsyncIteratorProtocol {
        let source: EventSource

        public func next() async throws(TertuliaError) -> TertuliaEvent? { try await source.next() }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(source: source) }
}

/// Reads the events of one handle.
final class EventSource: Sendable {
    /// The library's calls.
    struct Calls: Sendable {
        /// The next event that is there.
        let poll: @Sendable () throws -> TertuliaGenerated.TertuliaEvent?
        let setWaker: @Sendable (any EventWaker) throws -> Void
    }

    private struct State {
        var hasWaker = false
        var isOver = false
        var text = ReplyText()
    }

    private let calls: Calls
    private let signal = EventSignal()
    private let state = Locked(State())

    init(_ calls: Calls) { self.calls = calls }

    /// The next event that is there; never waits.
    func poll() throws(TertuliaError) -> TertuliaEvent? {
        try state.withLock { state throws(TertuliaError) in
            if state.isOver { return nil }
            guard let event = try call(calls.poll) else { return nil }
            if case .sessionClosed = event.kind { state.isOver = true }
            return state.text.read(event)
        }
    }

    func next() async throws(TertuliaError) -> TertuliaEvent? {
        try begin()
        while !Task.isCancelled {
            if let event = try poll() { return event }
            if state.withLock({ $0.isOver }) { return nil }
            guard try await signal.wait() else { return nil }
        }
        return nil
    }

    private func begin() throws(TertuliaError) {
        try state.withLock { state throws(TertuliaError) in
            if state.hasWaker || state.isOver { return }
            try call { try calls.setWaker(signal) }
            state.hasWaker = true
        }
    }
}

/// A signal that one task waits for. The library gives it from any thread.
final class EventSignal: EventWaker {
    private struct State {
        var isSet = false
        var waiting: CheckedContinuation<Result<Bool, TertuliaError>, Never>?
    }

    private let state = Locked(State())

    func wake() { resume(.success(true)) }

    /// Waits for the next signal; false where the task is cancelled.
    func wait() async throws(TertuliaError) -> Bool {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: Result<Bool, TertuliaError>? = state.withLock { state in
                    if state.waiting != nil {
                        return .failure(TertuliaError(.eventsTaken, detail: "another task reads the events"))
                    }
                    if state.isSet || Task.isCancelled {
                        state.isSet = false
                        return .success(!Task.isCancelled)
                    }
                    state.waiting = continuation
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            resume(.success(false))
        }
        return try result.get()
    }

    private func resume(_ result: Result<Bool, TertuliaError>) {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            if state.waiting == nil { state.isSet = true }
            return state.waiting
        }
        waiting?.resume(returning: result)
    }
}
