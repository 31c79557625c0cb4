//! One file a command.

pub(crate) mod capabilities;
pub(crate) mod demo;
pub(crate) mod listen;
pub(crate) mod models;
pub(crate) mod say;
pub(crate) mod sessions;
pub(crate) mod talk;
pub(crate) mod transcribe;
pub(crate) mod turn;
