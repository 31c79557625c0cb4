//! Errors, from the one table of codes.

use engine::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! codes {
    ($(($number:literal, $name:ident, $retryable:literal, $doc:literal);)*) => {
        /// The reason of an error; the same in every language.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
        pub enum ErrorCode {
            $(#[doc = $doc] $name,)*
            /// A code of another version; the error has its number.
            Unknown,
        }

        impl From<engine::ErrorCode> for ErrorCode {
            fn from(code: engine::ErrorCode) -> Self {
                match code {
                    $(engine::ErrorCode::$name => Self::$name,)*
                    _ => Self::Unknown,
                }
            }
        }

        impl ErrorCode {
            /// The stable number; 0 for `Unknown`.
            fn to_number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Unknown => 0,
                }
            }
        }
    };
}

engine::for_each_error_code!(codes);

#[uniffi::export]
impl ErrorCode {
    /// The stable number; 0 for `Unknown`.
    fn number(&self) -> u16 {
        self.to_number()
    }

    /// One sentence for a person.
    fn meaning(&self) -> String {
        engine::ErrorCode::from_number(self.to_number()).doc().to_owned()
    }
}

/// The code with this number.
#[uniffi::export]
fn error_code(number: u16) -> ErrorCode {
    engine::ErrorCode::from_number(number).into()
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_number().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        engine::ErrorCode::deserialize(deserializer).map(Into::into)
    }
}

/// The error of a call, or of a callback of the host's.
#[derive(Clone, Debug, thiserror::Error, uniffi::Error)]
pub enum TertuliaError {
    /// The only case: the code tells errors apart.
    #[error("{code:?} ({number}): {detail}")]
    Failed {
        /// The reason.
        code: ErrorCode,
        /// The number of the code, also where this version does not know it.
        number: u16,
        /// Context and causes, for logs; no words of the user.
        detail: String,
        /// True where the same call can succeed later.
        retryable: bool,
    },
}

impl From<Error> for TertuliaError {
    fn from(error: Error) -> Self {
        let (number, retryable) = (error.code().number(), error.is_retryable());
        Self::Failed { code: error.code().into(), number, detail: error.detail_with_causes(), retryable }
    }
}

/// An error that a callback of the host's threw.
impl From<TertuliaError> for Error {
    fn from(TertuliaError::Failed { number, detail, .. }: TertuliaError) -> Self {
        crate::sink::host_error(number.into(), &detail)
    }
}

impl From<uniffi::UnexpectedUniFFICallbackError> for TertuliaError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Error::new(engine::ErrorCode::HostCallback, error.reason).into()
    }
}
