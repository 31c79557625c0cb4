//! The audio of a conversation: the player of the replies, the machine's devices, and a virtual room in their place.

pub(crate) mod device;
pub(crate) mod player;
pub(crate) mod room;
