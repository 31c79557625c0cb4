import Foundation
public import TertuliaGenerated

/// The error of every call. The codes are the same in every language; include/errors.md lists them.
public enum TertuliaError: Error, Equatable, Sendable {
    /// A code that this version knows. `detail` is for logs, and holds no words of the user.
    case failed(ErrorCode, detail: String = "", isRetryable: Bool = false)
    /// A code of a newer library, by its number.
    case unknown(number: UInt16, detail: String = "", isRetryable: Bool = false)

    /// The code; `unknown` where this version does not know it.
    public var code: ErrorCode {
        if case .failed(let code, _, _) = self { code } else { .unknown }
    }

    /// The code's stable number.
    public var number: UInt16 {
        switch self {
        case .failed(let code, _, _): code.number()
        case .unknown(let number, _, _): number
        }
    }

    /// Context and causes, for logs.
    public var detail: String {
        switch self {
        case .failed(_, let detail, _), .unknown(_, let detail, _): detail
        }
    }

    /// True where the same call can succeed later without any other change.
    public var isRetryable: Bool {
        switch self {
        case .failed(_, _, let isRetryable), .unknown(_, _, let isRetryable): isRetryable
        }
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
        case TertuliaGenerated.TertuliaError.Failed(.unknown, let number, let detail, let isRetryable):
            self = .unknown(number: number, detail: detail, isRetryable: isRetryable)
        case TertuliaGenerated.TertuliaError.Failed(let code, _, let detail, let isRetryable):
            self = .failed(code, detail: detail, isRetryable: isRetryable)
        case is CancellationError: self = .failed(.cancelled)
        case let error as any LocalizedError where error.errorDescription != nil:
            self = .failed(.hostCallback, detail: error.errorDescription ?? "")
        default: self = .failed(.hostCallback, detail: String(describing: error))
        }
    }

    init(_ info: TertuliaGenerated.ErrorInfo) {
        self = info.code == .unknown
            ? .unknown(number: info.number, detail: info.detail, isRetryable: info.retryable)
            : .failed(info.code, detail: info.detail, isRetryable: info.retryable)
    }
}
