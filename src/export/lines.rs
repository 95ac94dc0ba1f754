//! The newest documents of a selection, a line each: what needs nothing of their rows, and so reads none.

use std::{
    io::{BufWriter, Write},
    ops::ControlFlow,
};

use crate::{
    archive::Archive,
    export::{Ask, BUFFER_BYTES, Error, Format, Report, Result, Versions},
    query,
};

/// Whether lines are all that is asked for. A text is looked for by way of the rows.
pub(super) fn suffice(ask: &Ask) -> bool {
    ask.format == Format::Ndjson && ask.versions == Versions::Latest && ask.selection.text.is_none()
}

pub(super) fn export(
    archive: &Archive,
    ask: &Ask,
    to: &mut dyn Write,
    on: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<Report> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, to);
    let mut reader = archive.version_reader();
    let mut report = Report::default();
    let mut failure = None;
    let reach = query::for_each_seq(archive, &ask.selection, &mut |seq| {
        let outcome = reader.document(seq).map_err(Error::from).and_then(|line| {
            let written = out.write_all(line.json.as_bytes()).and_then(|()| out.write_all(b"\n"));
            written.map_err(Error::Write)?;
            report.records += 1;
            report.versions += 1;
            report.bytes += line.json.len() as u64 + 1;
            if on(&report).is_break() { Err(Error::Stopped) } else { Ok(()) }
        });
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    out.flush().map_err(Error::Write)?;
    Ok(Report { reach, ..report })
}
