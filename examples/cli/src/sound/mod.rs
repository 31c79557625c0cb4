//! The sound of a conversation: what the speaker plays of the replies, and where the microphone's sound comes from.

pub(crate) mod device;
pub(crate) mod player;
pub(crate) mod room;
