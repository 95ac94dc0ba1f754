//! Selections as files: one record, or one version of it, is one row or one line.
//!
//! A [`Sink`] takes rows one after the other and keeps none of them, so what it needs does not grow with what it writes.

pub mod csv;
pub mod ndjson;

use std::io;

use crate::model::hit::Hit;

/// One version of one record on its way into a file.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub hit: &'a Hit,
    /// The assembled document as the archive keeps it: one line of JSON.
    pub json: &'a str,
}

/// Takes rows in their order. Only after [`Sink::finish`] is what was written whole.
pub trait Sink {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Writes what is still held back and flushes.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
