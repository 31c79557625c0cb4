//! The errors of redb and of storage as the store's own.

use crate::error::{Error, ErrorCode};
use std::io::{self, ErrorKind};

/// A failure of work on the database.
pub(super) enum Fault {
    /// An error of the work itself; the database is sound.
    Own(Error),
    /// An error of redb.
    Redb(redb::Error),
    /// A panic of redb, which only a damaged file causes.
    Panic,
}

impl Fault {
    /// True for the repetition of a fault that another call met.
    pub(super) fn is_stale(&self) -> bool {
        use redb::Error as E;
        matches!(self, Fault::Redb(E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_)))
    }

    /// True where the database must be opened again.
    pub(super) fn breaks(&self) -> bool {
        match self {
            Fault::Own(_) => false,
            Fault::Panic => true,
            Fault::Redb(error) => self.is_stale() || matches!(error, redb::Error::Io(_) | redb::Error::Backend(_)),
        }
    }

    pub(super) fn into_error(self) -> Error {
        use redb::Error as E;
        let error = match self {
            Fault::Own(error) => return error,
            Fault::Panic => return Error::new(ErrorCode::StoreCorrupt, "the database panicked on the store"),
            Fault::Redb(E::Io(error)) => return io_error(error),
            Fault::Redb(error) => error,
        };
        let (code, detail) = match &error {
            E::Corrupted(_) | E::RepairAborted => (ErrorCode::StoreCorrupt, "the store is damaged"),
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => (ErrorCode::StoreLocked, "the store is open elsewhere"),
            E::UpgradeRequired(_) => (ErrorCode::StoreNotAStore, "the file is of an old database format"),
            E::TableTypeMismatch { .. }
            | E::TableIsMultimap(_)
            | E::TableIsNotMultimap(_)
            | E::TypeDefinitionChanged { .. }
            | E::TableDoesNotExist(_) => (ErrorCode::StoreCorrupt, "a table of the store is damaged or lost"),
            E::Backend(_) | E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_) | E::Unsupported => {
                (ErrorCode::StoreIo, "the storage failed")
            }
            _ => (ErrorCode::Internal, "the database was used in a way it does not allow"),
        };
        Error::new(code, detail).with_source(error)
    }

    /// The same at opening, where redb reports a foreign file as `InvalidData`.
    pub(super) fn into_open_error(self) -> Error {
        match self {
            Fault::Redb(redb::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                not_a_store().with_source(error)
            }
            fault => fault.into_error(),
        }
    }
}

fn io_error(error: io::Error) -> Error {
    let failed = "reading or writing the store failed";
    let (code, detail) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            (ErrorCode::StoreFull, "the disk has no room for the store to grow")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (ErrorCode::StoreReadOnly, "the store cannot be written")
        }
        // redb reads only what its own pages point to: a read outside the file means damage.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            (ErrorCode::StoreCorrupt, "the store is shorter than its own pages say")
        }
        ErrorKind::OutOfMemory => (ErrorCode::OutOfMemory, failed),
        _ => (ErrorCode::StoreIo, failed),
    };
    Error::new(code, detail).with_source(error)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Own(error)
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Fault::Redb(error.into())
    }
}

pub(super) fn not_a_store() -> Error {
    Error::new(ErrorCode::StoreNotAStore, "the file is not a store of this program")
}
