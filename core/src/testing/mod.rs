//! Test tools for the engine and for embedders (feature `testing`): scripted backends, a virtual clock, scenarios, a faulty disk.

pub mod clock;
pub mod fault;
pub mod scenario;
pub mod scripted;
