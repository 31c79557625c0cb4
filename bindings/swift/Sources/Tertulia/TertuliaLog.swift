public import TertuliaGenerated

/// The library's log, one for the process.
public enum TertuliaLog {
    /// Has every line of the log given to `sink`, on any thread, in the place of the sink before; nil for no more lines. It must call nothing of this
    /// library. The highest level is that of the first call in a process.
    public static func set(_ sink: (@Sendable (LogLevel, _ target: String, _ line: String) -> Void)?, levelMax: LogLevel = .information)
        throws(TertuliaError)
    {
        try call { try TertuliaGenerated.setLog(sink: sink.map(Lines.init), levelMax: levelMax) }
    }

    private final class Lines: LogSink {
        private let sink: @Sendable (LogLevel, String, String) -> Void
        init(_ sink: @escaping @Sendable (LogLevel, String, String) -> Void) { self.sink = sink }
        func log(level: LogLevel, target: String, line: String) { sink(level, target, line) }
    }
}
