//! The newest documents of a selection, a line each: what needs nothing of their rows, and so reads none.

use std::{io::Write, ops::ControlFlow};

use crate::{
    archive::Archive,
    export::{Ask, Error, Format, Report, Result, Versions},
    query,
};

/// Lines are written once there are so many bytes of them.
const WRITE_BYTES: usize = 128 << 10;
/// A meeting of a thousand leaves no more room than this behind.
const ROOM_BYTES_KEPT: usize = 1 << 20;

/// Whether lines are all that is asked for. A text is looked for by way of the rows.
pub(super) fn suffice(ask: &Ask) -> bool {
    ask.format == Format::Ndjson
        && ask.versions == Versions::Latest
        && ask.selection.text.is_none()
        && ask.person.is_none()
}

pub(super) fn export(
    archive: &Archive,
    ask: &Ask,
    to: &mut dyn Write,
    on: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<Report> {
    let mut reader = archive.version_reader();
    let mut out = Vec::with_capacity(2 * WRITE_BYTES);
    let mut report = Report::default();
    let mut failure = None;
    let reach = query::Reader::new(archive).for_each_seq(&ask.selection, &mut |seq| {
        let before = out.len();
        let read = reader.append_document(seq, &mut out).inspect_err(|_| out.truncate(before));
        let outcome = read.map_err(Error::from).and_then(|()| {
            out.push(b'\n');
            report.records += 1;
            report.versions += 1;
            report.bytes += (out.len() - before) as u64;
            if out.len() >= WRITE_BYTES {
                to.write_all(&out).map_err(Error::Write)?;
                out.clear();
                out.shrink_to(ROOM_BYTES_KEPT);
            }
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
    if !matches!(failure, Some(Error::Write(_))) {
        to.write_all(&out).and_then(|()| to.flush()).map_err(Error::Write)?;
    }
    if let Some(error) = failure {
        return Err(error);
    }
    Ok(Report { reach, ..report })
}
