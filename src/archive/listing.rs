//! Which spans of start times were listed, and how far the others got.

use rusqlite::{Connection, params};

use crate::{
    archive::{error::Result, tally, todo},
    model::{
        id::Cursor,
        listed::Listed,
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp, subtract, union},
    },
};

/// A span that is being listed or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub listing_id: i64,
    pub source: Source,
    pub span: Span,
    /// Graph's time when its first page was asked for: what appears later is not in it.
    pub begun: Timestamp,
    /// Set when its last page was in.
    pub listed: Option<Timestamp>,
    /// Where to go on; `None` before the first page and after the last.
    pub cursor: Option<Cursor>,
}

impl Listing {
    /// What it can say something of: not of what happened less than `age` before it began, nor of what Graph had forgotten by then.
    #[must_use]
    pub fn seen(&self, age: Age, retained: Age) -> Span {
        Span::new(self.span.from.max(self.begun - retained), self.span.to.min(self.begun - age))
    }
}

/// What a page brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageOutcome {
    pub rows: usize,
    /// Rows put on the to-do list.
    pub wanted: usize,
}

/// Begins a listing; nothing is known of it yet.
pub(crate) fn begin(connection: &Connection, source: Source, span: Span, now: Timestamp) -> Result<Listing> {
    let listing_id = connection
        .prepare_cached("INSERT INTO listing (source, from_ns, to_ns, begun_ns) VALUES (?1, ?2, ?3, ?4)")?
        .insert(params![source.name(), span.from.0, span.to.0, now.0])?;
    Ok(Listing { listing_id, source, span, begun: now, listed: None, cursor: None })
}

/// Takes in a page: ids onto the to-do list and the cursor past them, or the end noted. Runs in the caller's transaction.
pub(crate) fn page(
    connection: &Connection,
    listing: &Listing,
    rows: &[Listed],
    next: Option<&Cursor>,
    now: Timestamp,
) -> Result<PageOutcome> {
    let mut outcome = PageOutcome { rows: rows.len(), wanted: 0 };
    // A row that does not say when its call began: taken for the youngest of its window, lest it be given up too early.
    let unknown_start = listing.span.to.min(now) - Age::hours(1);
    for row in rows {
        if todo::want(connection, listing.source.kind(), row, unknown_start, now)? {
            outcome.wanted += 1;
            tally::note_change(connection, listing.source, row.start.unwrap_or(unknown_start), now)?;
        }
    }
    note_page(connection, listing, rows.len(), next, next.is_none().then_some(now))?;
    Ok(outcome)
}

/// Notes a page of a listing that is never resumed; `listed` is set at its end. Runs in the caller's transaction.
pub(crate) fn count_page(
    connection: &Connection,
    listing: &Listing,
    rows: usize,
    listed: Option<Timestamp>,
) -> Result<()> {
    note_page(connection, listing, rows, None, listed)
}

fn note_page(
    connection: &Connection,
    listing: &Listing,
    rows: usize,
    next: Option<&Cursor>,
    listed: Option<Timestamp>,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE listing SET cursor = ?2, listed_ns = ?3, pages = pages + 1, rows = rows + ?4 WHERE listing_id = ?1",
        )?
        .execute(params![
            listing.listing_id,
            next.map(|cursor| &cursor.0),
            listed.map(|time| time.0),
            i64::try_from(rows).unwrap_or(i64::MAX)
        ])?;
    if listed.is_some() { forget_needless(connection, listing) } else { Ok(()) }
}

/// Forgets listings of which nothing is needed any more now that one was read to its end: others say all that they do. Else there
/// would be as many as there were syncs.
fn forget_needless(connection: &Connection, done: &Listing) -> Result<()> {
    // Nothing is kept for a shorter time anywhere.
    let retained = Retention::default().certain(done.source);
    let met = since(connection, done.source, done.span.from)?;
    let met = met.iter().filter(|other| other.span.from < done.span.to && other.listing_id != done.listing_id);
    let (met, starts): (Vec<i64>, Vec<Timestamp>) = met.map(|other| (other.listing_id, other.span.from)).unzip();
    let Some(first) = starts.into_iter().min() else { return Ok(()) };
    // One that is to be gone on with is left alone.
    let mut known = since(connection, done.source, first.min(done.span.from))?;
    known.retain(|listing| listing.listed.is_some() || listing.cursor.is_none());
    for listing_id in met {
        let place = known.iter().position(|listing| listing.listing_id == listing_id);
        let Some(place) = place.filter(|place| is_needless(*place, &known, done.source.settling(), retained)) else {
            continue;
        };
        known.remove(place);
        connection.prepare_cached("DELETE FROM listing WHERE listing_id = ?1")?.execute([listing_id])?;
    }
    Ok(())
}

/// Whether others of `known`, which are in the order in which they began, say all that the one at `place` does.
fn is_needless(place: usize, known: &[Listing], settling: Age, retained: Age) -> bool {
    // However long it is kept where the users are.
    let own = Span::new(known[place].span.from, known[place].span.to.min(known[place].begun));
    let complete = |listings: &[Listing], age: Age| {
        let complete = listings.iter().filter(|listing| listing.listed.is_some());
        union(complete.map(|listing| listing.seen(age, retained)).filter(|span| !span.is_empty()).collect())
    };
    if known[place].listed.is_none() {
        // It says only how early somebody set out.
        return complete(known, Age::default()).first().is_some_and(|earliest| earliest.from <= own.from);
    }
    // What began later says more of what it saw; what began earlier says as much of what had settled by then.
    let rest = subtract(&[own], &complete(&known[place + 1..], Age::default()));
    subtract(&rest, &complete(&known[..place], settling)).is_empty()
}

/// Gives up a listing that cannot go on; what it put on the to-do list stays there. That somebody set out for it stays known, too:
/// what is never had of it is lost one day, and has to be told.
pub(crate) fn abandon(connection: &Connection, listing: &Listing) -> Result<()> {
    connection
        .prepare_cached("UPDATE listing SET cursor = NULL WHERE listing_id = ?1 AND listed_ns IS NULL")?
        .execute([listing.listing_id])?;
    Ok(())
}

/// Listings of a source that reach past `from`, in the order in which they began.
pub(crate) fn since(connection: &Connection, source: Source, from: Timestamp) -> Result<Vec<Listing>> {
    let mut statement = connection.prepare_cached(
        "SELECT listing_id, from_ns, to_ns, begun_ns, listed_ns, cursor FROM listing WHERE source = ?1 AND to_ns > ?2 ORDER BY begun_ns",
    )?;
    let rows = statement.query_map(params![source.name(), from.0], |row| {
        Ok(Listing {
            listing_id: row.get(0)?,
            source,
            span: Span::new(Timestamp(row.get(1)?), Timestamp(row.get(2)?)),
            begun: Timestamp(row.get(3)?),
            listed: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            cursor: row.get::<_, Option<String>>(5)?.map(Cursor),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::coverage;

    fn archive() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema/0001_kept.sql")).unwrap();
        connection
    }

    fn day(n: i64) -> Timestamp {
        Timestamp(Age::days(1000 + n).0)
    }

    /// Lists a span to its end.
    fn list(connection: &Connection, from: Timestamp, to: Timestamp, begun: Timestamp) {
        let listing = begin(connection, Source::Calls, Span::new(from, to), begun).unwrap();
        page(connection, &listing, &[], None, begun).unwrap();
    }

    fn spans(connection: &Connection) -> Vec<(Timestamp, Timestamp)> {
        let known = since(connection, Source::Calls, Timestamp(i64::MIN)).unwrap();
        known.into_iter().map(|listing| (listing.span.from, listing.span.to)).collect()
    }

    #[test]
    fn a_year_of_daily_syncs_leaves_a_dozen_listings_and_the_same_coverage() {
        let connection = archive();
        let all = archive();
        for n in 0..365 {
            list(&connection, day(n - 30), day(n) + Age::hours(1), day(n));
            let whole = begin(&all, Source::Calls, Span::new(day(n - 30), day(n) + Age::hours(1)), day(n)).unwrap();
            all.execute("UPDATE listing SET listed_ns = begun_ns WHERE listing_id = ?1", [whole.listing_id]).unwrap();
        }
        let [few, many] =
            [&connection, &all].map(|archive| since(archive, Source::Calls, Timestamp(i64::MIN)).unwrap());
        assert!(few.len() < 30 && many.len() == 365, "{}", few.len());
        let retained = Age::days(30);
        for age in [Age::default(), Age::hours(36)] {
            let seen = |known: &[Listing]| union(known.iter().map(|listing| listing.seen(age, retained)).collect());
            assert_eq!(seen(&few), seen(&many));
        }
    }

    #[test]
    fn what_only_an_older_listing_has_seen_keeps_it() {
        let connection = archive();
        list(&connection, day(0), day(10), day(10));
        list(&connection, day(5), day(12), day(12));
        assert_eq!(spans(&connection), [(day(0), day(10)), (day(5), day(12))]);
        list(&connection, day(0), day(5), day(13));
        assert_eq!(spans(&connection), [(day(5), day(12)), (day(0), day(5))]);
    }

    #[test]
    fn a_window_that_never_came_to_its_end_goes_once_others_tell_of_an_earlier_one() {
        let connection = archive();
        begin(&connection, Source::Calls, Span::new(day(2), day(3)), day(4)).unwrap();
        let resumable = begin(&connection, Source::Calls, Span::new(day(3), day(4)), day(4)).unwrap();
        page(&connection, &resumable, &[], Some(&Cursor("next".into())), day(4)).unwrap();
        list(&connection, day(1), day(6), day(5));
        assert_eq!(spans(&connection), [(day(3), day(4)), (day(1), day(6))]);
    }

    #[test]
    fn a_window_that_was_given_up_and_never_had_is_lost_in_the_end() {
        let connection = archive();
        let first = begin(&connection, Source::Calls, Span::new(day(0), day(2)), day(29)).unwrap();
        page(&connection, &first, &[], Some(&Cursor("astray".into())), day(29)).unwrap();
        abandon(&connection, &first).unwrap();
        list(&connection, day(2), day(30), day(29));
        let facts = coverage::facts(&connection, Source::Calls).unwrap();
        assert_eq!(facts.listings[0].cursor, None, "it is not gone on with");
        let lost = coverage::coverage(Source::Calls, &facts, day(33), &Retention::default()).lost;
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].to, day(2));
    }

    #[test]
    fn of_a_log_that_may_be_kept_for_a_year_nothing_is_forgotten_that_only_one_listing_saw() {
        let connection = archive();
        for from in [-360, -330, -300] {
            let span = Span::new(day(from), day(from + 30));
            let listing = begin(&connection, Source::Pstn, span, day(0)).unwrap();
            count_page(&connection, &listing, 0, Some(day(0))).unwrap();
        }
        assert_eq!(since(&connection, Source::Pstn, Timestamp(i64::MIN)).unwrap().len(), 3);
    }
}
