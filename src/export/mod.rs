//! A selection into a file or a stream: read, checked and written one version at a time.
//!
//! Every document that is written was read from its frame and compared with its hash in the ledger first. Damage ends an export with the
//! record named; a file appears under its name only when it is whole.

mod file;
mod lines;
mod package;

use std::{
    cell::Cell,
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    path::PathBuf,
};

pub use self::{
    file::export_to_file,
    package::{PackageAsk, export_package},
};
#[cfg(feature = "parquet")]
use crate::tables::parquet::Parquet;
use crate::{
    archive::{self, Archive, versions::VersionReader},
    model::{
        derive,
        filter::Selection,
        hit::Hit,
        id::{RecordKey, Seq},
        rows::Derived,
        view::log::{Log, log},
    },
    query::{self, Reach},
    tables::{Row, Rows, Shape, Sink, Table, csv::Csv, ndjson::Ndjson, xlsx::Xlsx},
};

const BUFFER_BYTES: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Query(#[from] query::Error),
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error("cannot write: {0}")]
    Write(io::Error),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Package(#[from] crate::package::Error),
    /// Something that is selected is not under the newest checkpoint, which covers so many entries; 0: there is none.
    #[error("{}", unproven(*size))]
    Unproven { size: u64 },
    #[error("not all records could be searched, and a package must say all that there is")]
    NotSearched(Reach),
    #[error("stopped before the end")]
    Stopped,
}

fn unproven(size: u64) -> String {
    match size {
        0 => "the ledger has no signed checkpoint, and a package proves that its records are under one".to_owned(),
        size => {
            format!("the newest checkpoint covers {size} ledger entries, and records that are asked for came after")
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether whoever was to read the stream has gone: no failure, there is nobody to write for.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Write(error) | Error::File { source: error, .. } if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether what is stored is not what was archived.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Archive(error) | Error::Query(query::Error::Archive(error)) => error.is_damage(),
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The archived document of each version.
    #[default]
    Ndjson,
    Csv,
    #[cfg(feature = "parquet")]
    Parquet,
    Xlsx,
}

/// Which versions of each record selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// The newest.
    #[default]
    Latest,
    /// Every one, oldest first.
    All,
}

#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub selection: Selection,
    pub format: Format,
    /// What the lines of a table are; NDJSON has a version a line.
    pub rows: Rows,
    pub versions: Versions,
    /// All that is about this person, in older versions and in the directory too: all versions of these, for each says what changed.
    pub person: Option<String>,
}

/// What was written, at the end or so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub records: u64,
    pub versions: u64,
    /// As written, header included.
    pub bytes: u64,
    /// How far the selection can be trusted; known at the end.
    pub reach: Reach,
}

/// Writes what `ask` means to `to`. `on` is told after each record and may stop the export.
///
/// # Errors
/// [`Error::Write`] when `to` refuses (see [`Error::is_broken_pipe`]); damage with the record named; [`Error::Stopped`]. What
/// `to` got until then is a part and must not be taken for the whole.
pub fn export(
    archive: &Archive,
    ask: &Ask,
    to: &mut dyn Write,
    on: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<Report> {
    if lines::suffice(ask) {
        return lines::export(archive, ask, to, on);
    }
    let selection = &of_person(&ask.selection, ask.person.as_deref());
    let bytes = Cell::new(0);
    let mut counted = BufWriter::with_capacity(BUFFER_BYTES, Counted { out: to, bytes: &bytes });
    let mut report = Report::default();
    let mut writing = Writing { archive, ask, reader: archive.version_reader(), sink: sink(ask, &mut counted)? };
    let mut failure = None;
    let mut told = |outcome: Result<()>, report: &mut Report| {
        let outcome = outcome.and_then(|()| {
            report.bytes = bytes.get();
            if on(report).is_break() { Err(Error::Stopped) } else { Ok(()) }
        });
        outcome.map_or_else(
            |error| {
                failure = Some(error);
                ControlFlow::Break(())
            },
            ControlFlow::Continue,
        )
    };
    let reach = if parts_suffice(ask) {
        query::Reader::new(archive).for_each_seq(selection, &mut |seq| {
            let outcome = writing.parts(seq, &mut report);
            told(outcome, &mut report)
        })?
    } else {
        query::Reader::new(archive).for_each(selection, &mut |hit| {
            let outcome = writing.record(&hit, &mut report);
            told(outcome, &mut report)
        })?
    };
    if let Some(error) = failure {
        return Err(error);
    }
    for key in by_all_versions(archive, ask)? {
        writing.all_versions(&key, &mut report)?;
    }
    writing.sink.finish().map_err(Error::Write)?;
    Ok(Report { bytes: bytes.get(), reach, ..report })
}

fn sink<'a>(ask: &Ask, out: &'a mut dyn Write) -> Result<Box<dyn Sink + 'a>> {
    let shape = Shape { rows: ask.rows, log: only_log(&ask.selection) };
    let columns = shape.columns();
    let sink: io::Result<Box<dyn Sink + 'a>> = match ask.format {
        Format::Ndjson => Ok(Box::new(Ndjson::new(out))),
        Format::Csv => Csv::new(out, &columns).map(|csv| Box::new(Table::new(shape, csv)) as _),
        #[cfg(feature = "parquet")]
        Format::Parquet => Parquet::new(out, &columns).map(|parquet| Box::new(Table::new(shape, parquet)) as _),
        Format::Xlsx => Xlsx::new(out, ask.rows.name(), &columns).map(|xlsx| Box::new(Table::new(shape, xlsx)) as _),
    };
    sink.map_err(Error::Write)
}

/// Whether all that is asked for stands in the documents: then nothing of the records' rows is read.
fn parts_suffice(ask: &Ask) -> bool {
    ask.rows != Rows::Records && ask.versions == Versions::Latest && ask.selection.text.is_none()
}

/// What is about the person asked for beside the hits, and told by all its versions, since each says what changed: records that an older
/// version of has to do with them, and the directory's own of them.
fn by_all_versions(archive: &Archive, ask: &Ask) -> Result<Vec<RecordKey>> {
    if ask.person.is_none() {
        return Ok(Vec::new());
    }
    let mut keys = query::by_older_alone(archive, &of_person(&ask.selection, ask.person.as_deref()))?;
    keys.extend(directory(archive, ask)?);
    Ok(keys)
}

/// The directory's records of the person asked for: where all kinds are meant, for nobody asks for them by a kind of their own.
fn directory(archive: &Archive, ask: &Ask) -> Result<Vec<RecordKey>> {
    match &ask.person {
        Some(person) if ask.rows == Rows::Records && ask.selection.filter.kinds.is_empty() => {
            Ok(archive.people_named(person)?)
        }
        _ => Ok(Vec::new()),
    }
}

/// The selection narrowed to what has to do with somebody.
fn of_person(selection: &Selection, person: Option<&str>) -> Selection {
    let mut selection = selection.clone();
    selection.filter.participants.extend(person.map(str::to_owned));
    selection
}

/// The log whose rows alone are selected.
fn only_log(selection: &Selection) -> Option<&'static Log> {
    let (first, others) = selection.filter.kinds.split_first()?;
    others.iter().all(|kind| kind == first).then(|| log(*first)).flatten()
}

struct Writing<'a> {
    archive: &'a Archive,
    ask: &'a Ask,
    reader: VersionReader<'a>,
    sink: Box<dyn Sink + 'a>,
}

impl Writing<'_> {
    /// The sessions of a call, or what is in them.
    fn parts(&mut self, seq: Seq, report: &mut Report) -> Result<()> {
        let line = self.reader.document(seq)?;
        row(
            &mut *self.sink,
            &Hit::of(&line.info.key, line.info.version, line.info.seq, &Derived::default()),
            line.json,
            report,
        )?;
        report.records += 1;
        Ok(())
    }

    /// Every version of a record, oldest first.
    fn all_versions(&mut self, key: &RecordKey, report: &mut Report) -> Result<()> {
        for info in self.archive.versions(key)? {
            let line = self.reader.document(info.seq)?;
            let derived = derive::shown(key, line.asked, line.json);
            row(&mut *self.sink, &Hit::of(key, info.version, info.seq, &derived), line.json, report)?;
        }
        report.records += 1;
        Ok(())
    }

    fn record(&mut self, hit: &Hit, report: &mut Report) -> Result<()> {
        match self.ask.versions {
            Versions::Latest => {
                let line = self.reader.document(hit.seq)?;
                row(&mut *self.sink, hit, line.json, report)?;
            }
            Versions::All => {
                let key = RecordKey { kind: hit.kind, id: hit.id.clone() };
                for info in self.archive.versions(&key)? {
                    let line = self.reader.document(info.seq)?;
                    match self.ask.format {
                        // The document says it all; deriving it anew would be for nothing.
                        Format::Ndjson => row(&mut *self.sink, hit, line.json, report)?,
                        _ if info.newest => row(&mut *self.sink, hit, line.json, report)?,
                        _ => {
                            let derived = derive::rows(&line.info.key, line.asked, line.json);
                            let older = Hit {
                                matched: hit.matched.clone(),
                                record_id: hit.record_id,
                                ..Hit::of(&line.info.key, line.info.version, line.info.seq, &derived)
                            };
                            row(&mut *self.sink, &older, line.json, report)?;
                        }
                    }
                }
            }
        }
        report.records += 1;
        Ok(())
    }
}

fn row(sink: &mut dyn Sink, hit: &Hit, json: &str, report: &mut Report) -> Result<()> {
    sink.row(&Row { hit, json }).map_err(Error::Write)?;
    report.versions += 1;
    Ok(())
}

/// Counts the bytes that pass.
struct Counted<'a> {
    out: &'a mut dyn Write,
    bytes: &'a Cell<u64>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes.set(self.bytes.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
