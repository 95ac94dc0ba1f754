//! What faces the internet: takes change notifications in, and answers for them once they are on disk.
//!
//! It runs on threads of its own that may open no file for writing and connect to nobody, where the system can see to that: all it has is the
//! inbox, already open. Whatever it tells of the archive, others look up for it.

mod confine;
mod desk;
pub mod listen;
pub mod metrics;
mod receive;

pub use confine::Confined;
pub use listen::{Page, Question, Receiver, Setup, Told, serve_pages};
