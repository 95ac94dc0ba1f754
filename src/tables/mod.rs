//! Selections as files: documents as they are, or tables of what is in them.
//!
//! A [`Sink`] takes records one after the other and keeps none of them, so what it needs does not grow with what it writes. A
//! [`Table`] is a sink that makes lines of cells out of each record and gives them to a [`Form`], which spells them.

pub mod cell;
pub mod csv;
pub mod ndjson;
#[cfg(feature = "parquet")]
pub mod parquet;
mod records;
mod sessions;
pub mod set;
mod streams;
pub mod xlsx;

use std::io;

use self::cell::{Cell, Column};
use crate::model::{hit::Hit, view::log::Log};

/// One version of one record on its way into a file.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub hit: &'a Hit,
    /// The assembled document as the archive keeps it: one line of JSON.
    pub json: &'a str,
}

/// Takes versions in their order. Only after [`Sink::finish`] is what was written whole.
pub trait Sink {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Writes what is still held back and flushes.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Takes lines of a table: cells in the order of its columns.
pub trait Form {
    fn line(&mut self, cells: &[Cell<'_>]) -> io::Result<()>;

    /// Writes what is still held back and flushes.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// What the lines of a table are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// A line a version.
    #[default]
    Records,
    /// A line a session of a call.
    Sessions,
    /// A line a segment of a session.
    Segments,
    /// A line a media stream of a segment.
    Streams,
}

impl Rows {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rows::Records => "records",
            Rows::Sessions => "sessions",
            Rows::Segments => "segments",
            Rows::Streams => "streams",
        }
    }
}

/// Which lines a table has, and with it which columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    pub rows: Rows,
    /// The log of which all records are: their lines go on with its columns.
    pub log: Option<&'static Log>,
}

impl Shape {
    #[must_use]
    pub fn columns(self) -> Vec<Column> {
        match self.rows {
            Rows::Records => records::columns(self.log),
            Rows::Sessions => sessions::SESSION.to_vec(),
            Rows::Segments => sessions::SEGMENT.to_vec(),
            Rows::Streams => streams::columns(),
        }
    }

    fn for_each_line(self, row: &Row<'_>, on: &mut dyn FnMut(&[Cell<'_>]) -> io::Result<()>) -> io::Result<()> {
        match self.rows {
            Rows::Records => on(&records::cells(row, self.log)),
            Rows::Sessions => sessions::for_each_session(row, on),
            Rows::Segments => sessions::for_each_segment(row, on),
            Rows::Streams => streams::for_each(row, on),
        }
    }
}

/// Versions as lines of a table.
pub struct Table<F> {
    shape: Shape,
    form: F,
}

impl<F: Form> Table<F> {
    /// `form` has the columns of `shape`.
    pub fn new(shape: Shape, form: F) -> Self {
        Self { shape, form }
    }
}

impl<F: Form> Sink for Table<F> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.shape.for_each_line(row, &mut |cells| self.form.line(cells))
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Box::new(self.form).finish()
    }
}

#[cfg(test)]
mod tests;
