//! [`Error`]: a stable code, context, the cause, and whether trying again may help.

mod code;

pub use code::ErrorCode;

use std::sync::Arc;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with a stable code. Messages never hold words that a person spoke or typed.
///
/// `{error}` is the code and the detail; [`chain`](Error::chain) appends the causes, for logs.
///
/// ```
/// use tertulia::{Error, ErrorCode};
/// let error = Error::new(ErrorCode::ModelMissing, "whisper-base.gguf is not in the model folder");
/// assert_eq!(error.code().number(), 221);
/// assert!(!error.is_retryable());
/// let error = error.with_source(std::io::Error::other("connection refused"));
/// assert_eq!(error.detail_with_causes(), "whisper-base.gguf is not in the model folder: connection refused");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    code: ErrorCode,
    detail: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a code and one sentence of context.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), source: None }
    }

    /// The same error with the lower-level error that caused it, whose message must hold no words of the user either.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The context, without the code.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The context, then each cause that says something new, joined by `: `.
    pub fn detail_with_causes(&self) -> String {
        let mut text = self.detail.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let message = cause.to_string();
            if !text.contains(&message) {
                text = text + ": " + &message;
            }
            next = cause.source();
        }
        text
    }

    /// The code, the context and the causes, for logs.
    pub fn chain(&self) -> String {
        format!("{}: {}", self.code, self.detail_with_causes())
    }

    /// True if the same call may succeed later without any other change.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.doc())
    }
}
