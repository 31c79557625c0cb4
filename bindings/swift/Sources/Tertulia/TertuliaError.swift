import Foundation
public import TertuliaGenerated

/// The error of every call. The codes are the same in every language; include/errors.md lists them.
public struct TertuliaError: Error, Equatable, Sendable {
    /// The reason; `unknown` for a code of a newer library.
    public let code: ErrorCode
    /// The code's stable number, also where this version does not know it.
    public let number: UInt16
    /// Context and causes, for logs; no words of the user.
    public let detail: String
    /// True where the same call can succeed later without any other change.
    public let isRetryable: Bool

    /// An error for the library: what a backend throws comes back in `turnFailed`.
    public init(_ code: ErrorCode, detail: String = "") {
        self.init(code: code, number: code.number(), detail: detail, isRetryable: false)
    }

    private init(code: ErrorCode, number: UInt16, detail: String, isRetryable: Bool) {
        (self.code, self.number, self.detail, self.isRetryable) = (code, number, detail, isRetryable)
    }
}

extension TertuliaError: CustomStringConvertible, LocalizedError {
    public var description: String { "\(code) (\(number)): \(detail)" }
    /// One sentence for a person.
    public var errorDescription: String? { code.meaning() }
}

extension TertuliaError {
    /// The error of a call of the library, or of code of the host's.
    init(_ error: any Error) {
        switch error {
        case let error as TertuliaError: self = error
        case TertuliaGenerated.TertuliaError.Failed(let code, let number, let detail, let isRetryable):
            self.init(code: code, number: number, detail: detail, isRetryable: isRetryable)
        case is CancellationError: self.init(.cancelled)
        case let error as any LocalizedError where error.errorDescription != nil:
            self.init(.hostCallback, detail: error.errorDescription ?? "")
        default: self.init(.hostCallback, detail: String(describing: error))
        }
    }

    init(_ info: TertuliaGenerated.ErrorInfo) {
        self.init(code: info.code, number: info.number, detail: info.detail, isRetryable: info.retryable)
    }
}
