//! What tests of an engine and of its parts need, for embedders' own tests too (feature `testing`).

pub mod fault;
pub mod scripted;
