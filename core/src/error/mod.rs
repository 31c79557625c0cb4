//! [`Error`]: a stable code, context, and whether trying again may help.

mod code;

pub use code::ErrorCode;

use std::sync::Arc;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed and why. Messages never hold words that a person spoke or typed.
///
/// ```
/// use tertulia::{Error, ErrorCode};
/// let error = Error::new(ErrorCode::ModelMissing, "whisper-base.gguf is not in the model folder");
/// assert_eq!(error.code().number(), 221);
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    code: ErrorCode,
    detail: String,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a code and one sentence of context.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), source: None }
    }

    /// The same error with the lower-level error that caused it.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The context, for logs; without the code.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the same call may succeed later without any other change.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.doc())
    }
}
