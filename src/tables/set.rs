//! All tables of some versions at once, in all forms: what an audit package has.

use std::io::{self, Write};

#[cfg(feature = "parquet")]
use crate::tables::parquet::Parquet;
use crate::{
    model::view::log::Log,
    tables::{Row, Rows, Shape, Sink, Table, csv::Csv, xlsx::Xlsx},
};

/// Tables of a set.
const ROWS: [Rows; 3] = [Rows::Records, Rows::Sessions, Rows::Segments];

pub struct Set<'a>(Vec<Box<dyn Sink + 'a>>);

impl<'a> Set<'a> {
    /// Begins each file, which `open` opens by its name. `log` is the one of which all versions are.
    pub fn new<W: Write + Send + 'a>(
        log: Option<&'static Log>,
        open: &mut dyn FnMut(&str) -> io::Result<W>,
    ) -> io::Result<Self> {
        let mut sinks: Vec<Box<dyn Sink + 'a>> = Vec::new();
        for rows in ROWS {
            let shape = Shape { rows, log };
            let (columns, name) = (shape.columns(), rows.name());
            let csv = Csv::new(open(&format!("{name}.csv"))?, &columns)?;
            sinks.push(Box::new(Table::new(shape, csv)));
            #[cfg(feature = "parquet")]
            {
                let parquet = Parquet::new(open(&format!("{name}.parquet"))?, &columns)?;
                sinks.push(Box::new(Table::new(shape, parquet)));
            }
            let xlsx = Xlsx::new(open(&format!("{name}.xlsx"))?, name, &columns)?;
            sinks.push(Box::new(Table::new(shape, xlsx)));
        }
        Ok(Self(sinks))
    }

    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.row(row))
    }

    /// Writes what is still held back and flushes.
    pub fn finish(self) -> io::Result<()> {
        self.0.into_iter().try_for_each(Sink::finish)
    }
}
