//! The nouns. Plain values that travel between the rooms; nothing here waits, opens a file or speaks a foreign language.

pub mod id;
pub mod kind;
pub mod time;
