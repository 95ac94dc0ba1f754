//! Newline-delimited JSON: each version's archived document on a line of its own, letter for letter, nothing added.

use std::io::{self, Write};

use crate::tables::{Row, Sink};

pub struct Ndjson<W> {
    out: W,
}

impl<W: Write> Ndjson<W> {
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Sink for Ndjson<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.out.write_all(row.json.as_bytes())?;
        self.out.write_all(b"\n")
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}
