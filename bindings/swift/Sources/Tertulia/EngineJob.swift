import Foundation
internal import TertuliaGenerated

/// Work without a session, as a sequence of its items. It is done while they are asked for, on a thread of its own; cancelling the task that asks
/// cancels the work, which then throws `cancelled`.
public struct EngineJob<Element: Sendable>: AsyncSequence, Sendable {
    public typealias Failure = TertuliaError

    private let job: TertuliaGenerated.EngineJob
    private let item: @Sendable (JobItem) -> Element?

    init(_ job: TertuliaGenerated.EngineJob, item: @escaping @Sendable (JobItem) -> Element?) {
        (self.job, self.item) = (job, item)
    }

    /// The share that is done, 0 to 1; 0 where it is not known.
    public var progress: Float { job.progress() }

    /// Stops the job after the piece under way.
    public func cancel() { job.cancel() }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let of: EngineJob

        public func next() async throws(TertuliaError) -> Element? { try await of.next() }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(of: self) }

    fileprivate func next() async throws(TertuliaError) -> Element? {
        let job = job
        let result: Result<JobItem?, TertuliaError> = await withTaskCancellationHandler {
            do throws(TertuliaError) { return .success(try await blockingCall { try job.next() }) } catch { return .failure(error) }
        } onCancel: {
            job.cancel()
        }
        return try result.get().flatMap(item)
    }

    /// The last item: the result of a job that has one.
    func result() async throws(TertuliaError) -> Element {
        var last: Element?
        while let item = try await next() { last = item }
        guard let last else { throw TertuliaError(.internal, detail: "the job gave no result") }
        return last
    }

    func finish() async throws(TertuliaError) {
        while try await next() != nil {}
    }
}

/// A chunk of synthesised speech.
public struct SpeechChunk: Sendable, Equatable, MonoAudio {
    /// The samples' bytes.
    public var pcm: Data
    /// Samples per second.
    public var rate: UInt32
    /// The part of the request's text that it speaks, in UTF-16.
    public var textRange: NSRange
    /// Its words; empty where the voice has no word times.
    public var words: [SpokenWord]

    public init(pcm: Data, rate: UInt32, textRange: NSRange, words: [SpokenWord] = []) {
        (self.pcm, self.rate, self.textRange, self.words) = (pcm, rate, textRange, words)
    }

    public init(samples: [Float], rate: UInt32, textRange: NSRange, words: [SpokenWord] = []) {
        self.init(pcm: samples.withUnsafeBytes { Data($0) }, rate: rate, textRange: textRange, words: words)
    }

    init(_ chunk: TertuliaGenerated.SpeechChunk, of text: String) {
        self.init(
            pcm: chunk.pcm, rate: chunk.rate, textRange: text.utf16Range(bytes: chunk.textSpan.start, chunk.textSpan.end),
            words: chunk.words.map { SpokenWord($0, in: text) })
    }
}
