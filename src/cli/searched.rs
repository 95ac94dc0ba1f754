//! Says on stderr over what range of time a query looked, and what of it is not in the archive: there is no limit that is not told.

use crate::{
    archive::{Archive, coverage},
    cli::{Context, exit::Result},
    model::{
        filter::{Filter, Selection},
        kind::Kind,
        source::Source,
        time::{Age, Span, Timestamp, intersect, union},
    },
};

/// Tells it.
pub(super) fn told(archive: &Archive, selection: &Selection, context: &Context) -> Result<()> {
    if context.quiet {
        return Ok(());
    }
    let filter = &selection.filter;
    let Some(held) = archive.extent()? else {
        context.note("searched an archive without records");
        return Ok(());
    };
    let (first, last) = (time(held.from), time(held.to));
    context.note(&match (filter.from, filter.to) {
        (None, None) => format!("searched all {} records, {first} to {last}", records(archive, filter)?),
        (Some(from), None) => format!("searched from {} on; the archive has {first} to {last}", time(from)),
        (None, Some(to)) => format!("searched until {}; the archive has {first} to {last}", time(to)),
        (Some(from), Some(to)) => {
            format!("searched {} to {}; the archive has {first} to {last}", time(from), time(to))
        }
    });
    if filter.kinds.is_empty() || filter.kinds.contains(&Kind::Call) {
        let until = filter.to.unwrap_or(if filter.from.is_some() { context.now } else { held.to });
        let asked = Span::new(filter.from.unwrap_or(held.from), until.min(context.now));
        if let Some(note) = missing(archive, asked, context)? {
            context.note(&note);
        }
    }
    Ok(())
}

/// How many records there are of the kinds asked for, as they were counted while they were stored.
fn records(archive: &Archive, filter: &Filter) -> Result<String> {
    let is_asked = |kind: &Kind| filter.kinds.is_empty() || filter.kinds.contains(kind);
    let mut count = 0;
    for kind in Kind::HITS.into_iter().filter(is_asked) {
        count += archive.counts(kind)?.records;
    }
    Ok(grouped(count))
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Calls of `asked` that the archive lacks, as far as it knows.
fn missing(archive: &Archive, asked: Span, context: &Context) -> Result<Option<String>> {
    let now = archive.graph_now(context.now)?;
    let known = coverage::coverage(Source::Calls, &archive.facts(Source::Calls)?, now, &context.config.retention()?);
    let lacking = intersect(&union([known.gaps, known.lost].concat()), &[asked]);
    let Some(first) = lacking.first() else { return Ok(None) };
    let more = match lacking.len() {
        1 => String::new(),
        2 => " and another time".to_owned(),
        n => format!(" and {} other times", n - 1),
    };
    Ok(Some(format!(
        "calls of {} to {}{more} may be missing; callvault status tells why",
        time(first.from),
        time(first.to)
    )))
}

/// A date where it is midnight, else to the second.
fn time(time: Timestamp) -> String {
    let text = time.to_seconds_text();
    if time.floor_to(Age::days(1)) == time { text.chars().take(10).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
