//! The nouns. Plain values that travel between the rooms; nothing here waits, opens a file or speaks a foreign language.

pub mod derive;
pub mod document;
pub(crate) mod envelope;
pub mod event;
pub mod filter;
pub mod group;
pub mod hit;
pub mod id;
pub mod kind;
pub(crate) mod line;
pub mod link;
pub mod listed;
pub mod month;
pub mod name;
pub mod phone;
pub mod place;
pub mod presence;
pub mod raw;
pub mod relisting;
pub mod retention;
pub mod row_key;
pub mod rows;
pub mod scrub;
pub mod source;
pub mod time;
pub mod view;
