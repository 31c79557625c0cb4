//! The tertulia command.
fn main() {}
