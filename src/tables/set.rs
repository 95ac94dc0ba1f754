//! All tables of some versions at once, in all forms: what an audit package has.

use std::io::{self, Write};

#[cfg(feature = "parquet")]
use crate::tables::parquet::Parquet;
use crate::{
    model::view::log::Log,
    tables::{Form, Row, Rows, Shape, csv::Csv, xlsx::Xlsx},
};

/// Tables of a set.
const ROWS: [Rows; 3] = [Rows::Records, Rows::Sessions, Rows::Segments];

/// Lines are made once and spelled by each form.
pub struct Set<'a>(Vec<(Shape, Vec<Box<dyn Form + 'a>>)>);

impl<'a> Set<'a> {
    /// Begins each file, which `open` opens by its name. `log` is the one of which all versions are.
    pub fn new<W: Write + Send + 'a>(
        log: Option<&'static Log>,
        open: &mut dyn FnMut(&str) -> io::Result<W>,
    ) -> io::Result<Self> {
        let mut tables = Vec::new();
        for rows in ROWS {
            let shape = Shape { rows, log };
            let (columns, name) = (shape.columns(), rows.name());
            let mut forms: Vec<Box<dyn Form + 'a>> = Vec::new();
            forms.push(Box::new(Csv::new(open(&format!("{name}.csv"))?, &columns)?));
            #[cfg(feature = "parquet")]
            forms.push(Box::new(Parquet::new(open(&format!("{name}.parquet"))?, &columns)?));
            forms.push(Box::new(Xlsx::new(open(&format!("{name}.xlsx"))?, name, &columns)?));
            tables.push((shape, forms));
        }
        Ok(Self(tables))
    }

    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|(shape, forms)| {
            shape.for_each_line(row, &mut |cells| forms.iter_mut().try_for_each(|form| form.line(cells)))
        })
    }

    /// Writes what is still held back and flushes.
    pub fn finish(self) -> io::Result<()> {
        self.0.into_iter().flat_map(|(_, forms)| forms).try_for_each(Form::finish)
    }
}
