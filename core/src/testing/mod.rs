//! What tests of an engine and of its parts need, for embedders' own tests too (feature `testing`).

pub mod clock;
pub mod fault;
pub mod scenario;
pub mod scripted;
